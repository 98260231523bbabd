# The public names, each with the module that it comes from: the only list of them.
from . import (
    functional as functional,
    schedules as schedules,
)
from .callbacks import (
    CoarseToFine as CoarseToFine,
    KAnnealing as KAnnealing,
    LoggerReport as LoggerReport,
    TemperatureAnnealing as TemperatureAnnealing,
    TopKMonitor as TopKMonitor,
    TopKPredictionWriter as TopKPredictionWriter,
    TrainingTrace as TrainingTrace,
)
from .classifier import (
    TopKClassifier as TopKClassifier,
)
from .data import (
    EmojiDataModule as EmojiDataModule,
    ExactDistributedSampler as ExactDistributedSampler,
    ImageFolderDataModule as ImageFolderDataModule,
    Preprocessing as Preprocessing,
    find_leaks as find_leaks,
)
from .decisions import (
    PredictionSets as PredictionSets,
    compare_scores as compare_scores,
    measure_sets as measure_sets,
)
from .export import (
    export_model as export_model,
)
from .feature_ranks import (
    target_rank_from_features as target_rank_from_features,
)
from .hierarchy import (
    Hierarchy as Hierarchy,
    coarsen_logits as coarsen_logits,
    coarsen_target as coarsen_target,
    load_pretrained as load_pretrained,
)
from .linear_topk_loss import (
    LinearTopKLoss as LinearTopKLoss,
)
from .losses import (
    CalibratedTopKHingeLoss as CalibratedTopKHingeLoss,
    GroupedTopKCrossEntropyLoss as GroupedTopKCrossEntropyLoss,
    LogitAdjusted as LogitAdjusted,
    LogitAdjustedCrossEntropyLoss as LogitAdjustedCrossEntropyLoss,
    NoisedTopKHingeLoss as NoisedTopKHingeLoss,
    SmoothTopKSVMLoss as SmoothTopKSVMLoss,
    SoftTopKLoss as SoftTopKLoss,
    TemperatureCrossEntropyLoss as TemperatureCrossEntropyLoss,
    TopKCrossEntropyLoss as TopKCrossEntropyLoss,
    TruncatedTopKEntropyLoss as TruncatedTopKEntropyLoss,
    adjust_logits as adjust_logits,
    imbalanced_margins as imbalanced_margins,
)
from .metrics import (
    CalibrationError as CalibrationError,
    ClassReport as ClassReport,
    MultilabelTopKAccuracy as MultilabelTopKAccuracy,
    SetCoverage as SetCoverage,
    TopKAccuracies as TopKAccuracies,
    TopKAccuracy as TopKAccuracy,
    hierarchy_levels as hierarchy_levels,
    multilabel_topk_accuracy as multilabel_topk_accuracy,
    topk_accuracy as topk_accuracy,
)
from .networks import (
    SmallCNN as SmallCNN,
    check_network as check_network,
)
from .prediction import (
    PredictionTrace as PredictionTrace,
    TopKPrediction as TopKPrediction,
    TrainedModel as TrainedModel,
    layer_picture as layer_picture,
    predict_sets as predict_sets,
    predict_topk as predict_topk,
    topk_predictions as topk_predictions,
    trace_prediction as trace_prediction,
)
from .ranking import (
    in_topk as in_topk,
    target_rank as target_rank,
    topk_indices as topk_indices,
)
from .report import (
    write_comparison as write_comparison,
    write_report as write_report,
)
from .scores import (
    Scores as Scores,
    read_scores as read_scores,
    write_scores as write_scores,
)
from .temperature_scaler import (
    TemperatureScaler as TemperatureScaler,
)

__version__: str
