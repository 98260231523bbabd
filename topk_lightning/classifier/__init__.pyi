# The public names, each with the module that it comes from: the only list of them.
from ._base import (
    TopKClassifierBase as TopKClassifierBase,
)
from ._batches import (
    images_and_target as images_and_target,
)
from ._class_match import (
    ClassMatch as ClassMatch,
    match_classes as match_classes,
)
from ._loaders import (
    name_loaders as name_loaders,
    sampler_of as sampler_of,
)
from ._topk_classifier import (
    TopKClassifier as TopKClassifier,
)
