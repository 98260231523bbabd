# The public names, each with the module that it comes from: the only list of them.
from ._class_match import (
    ClassMatch as ClassMatch,
    match_classes as match_classes,
)
from ._topk_classifier import (
    TopKClassifier as TopKClassifier,
    TopKClassifierBase as TopKClassifierBase,
)
