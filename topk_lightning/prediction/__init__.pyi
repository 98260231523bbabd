# The public names, each with the module that it comes from: the only list of them.
from ._answers import (
    Answer as Answer,
    Decider as Decider,
)
from ._checkpoint import (
    read_checkpoint as read_checkpoint,
)
from ._fitted import (
    SETS_KEY as SETS_KEY,
    Fitted as Fitted,
)
from ._folder import (
    CHECKSUM as CHECKSUM,
    CONFIG as CONFIG,
    OPTIONS as OPTIONS,
    WEIGHTS as WEIGHTS,
    find_checkpoint as find_checkpoint,
    is_model_folder as is_model_folder,
)
from ._image_sources import (
    list_images as list_images,
)
from ._layer_picture import (
    layer_picture as layer_picture,
)
from ._layers import (
    LayerTrace as LayerTrace,
)
from ._predict_topk import (
    predict_answers as predict_answers,
    predict_sets as predict_sets,
    predict_topk as predict_topk,
)
from ._prediction_trace import (
    PredictionTrace as PredictionTrace,
)
from ._set_files import (
    promised_sets as promised_sets,
    save_fitted as save_fitted,
    save_prediction_sets as save_prediction_sets,
)
from ._topk_predictions import (
    TopKPrediction as TopKPrediction,
    topk_predictions as topk_predictions,
)
from ._trace import (
    trace_prediction as trace_prediction,
)
from ._trained_model import (
    TrainedModel as TrainedModel,
)
