"""Train, measure and use image classifiers by their k best guesses, with PyTorch Lightning.

Names are imported when they are first used, so that the command line answers at once.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from topk_lightning import functional, schedules
    from topk_lightning.callbacks import (
        CoarseToFine,
        KAnnealing,
        TemperatureAnnealing,
        TopKMonitor,
        TopKPredictionWriter,
        TrainingTrace,
    )
    from topk_lightning.classifier import TopKClassifier
    from topk_lightning.data import (
        EmojiDataModule,
        ExactDistributedSampler,
        ImageFolderDataModule,
        Preprocessing,
        find_leaks,
    )
    from topk_lightning.hierarchy import Hierarchy, coarsen_logits, coarsen_target, load_pretrained
    from topk_lightning.losses import (
        CalibratedTopKHingeLoss,
        GroupedTopKCrossEntropyLoss,
        NoisedTopKHingeLoss,
        SmoothTopKSVMLoss,
        SoftTopKLoss,
        TemperatureCrossEntropyLoss,
        TopKCrossEntropyLoss,
        TruncatedTopKEntropyLoss,
        imbalanced_margins,
    )
    from topk_lightning.metrics import (
        CalibrationError,
        ClassReport,
        MultilabelTopKAccuracy,
        TopKAccuracy,
        hierarchy_levels,
        multilabel_topk_accuracy,
        topk_accuracies,
        topk_accuracy,
    )
    from topk_lightning.networks import SmallCNN
    from topk_lightning.prediction import (
        PredictionTrace,
        TopKPrediction,
        predict_topk,
        topk_predictions,
        trace_prediction,
    )
    from topk_lightning.ranking import in_topk, target_rank, topk_indices
    from topk_lightning.report import write_report
    from topk_lightning.temperature_scaler import TemperatureScaler

__version__ = version("topk-lightning")

__all__ = [
    "CalibratedTopKHingeLoss",
    "CalibrationError",
    "ClassReport",
    "CoarseToFine",
    "EmojiDataModule",
    "ExactDistributedSampler",
    "GroupedTopKCrossEntropyLoss",
    "Hierarchy",
    "ImageFolderDataModule",
    "KAnnealing",
    "MultilabelTopKAccuracy",
    "NoisedTopKHingeLoss",
    "PredictionTrace",
    "Preprocessing",
    "SmallCNN",
    "SmoothTopKSVMLoss",
    "SoftTopKLoss",
    "TemperatureAnnealing",
    "TemperatureCrossEntropyLoss",
    "TemperatureScaler",
    "TopKAccuracy",
    "TopKClassifier",
    "TopKCrossEntropyLoss",
    "TopKMonitor",
    "TopKPrediction",
    "TopKPredictionWriter",
    "TrainingTrace",
    "TruncatedTopKEntropyLoss",
    "__version__",
    "coarsen_logits",
    "coarsen_target",
    "find_leaks",
    "functional",
    "hierarchy_levels",
    "imbalanced_margins",
    "in_topk",
    "load_pretrained",
    "multilabel_topk_accuracy",
    "predict_topk",
    "schedules",
    "target_rank",
    "topk_accuracies",
    "topk_accuracy",
    "topk_indices",
    "topk_predictions",
    "trace_prediction",
    "write_report",
]

_HOMES = {
    "callbacks": (
        "CoarseToFine",
        "KAnnealing",
        "TemperatureAnnealing",
        "TopKMonitor",
        "TopKPredictionWriter",
        "TrainingTrace",
    ),
    "classifier": ("TopKClassifier",),
    "data": (
        "EmojiDataModule",
        "ExactDistributedSampler",
        "ImageFolderDataModule",
        "Preprocessing",
        "find_leaks",
    ),
    "hierarchy": (
        "Hierarchy",
        "coarsen_logits",
        "coarsen_target",
        "load_pretrained",
    ),
    "losses": (
        "CalibratedTopKHingeLoss",
        "GroupedTopKCrossEntropyLoss",
        "NoisedTopKHingeLoss",
        "SmoothTopKSVMLoss",
        "SoftTopKLoss",
        "TemperatureCrossEntropyLoss",
        "TopKCrossEntropyLoss",
        "TruncatedTopKEntropyLoss",
        "imbalanced_margins",
    ),
    "metrics": (
        "CalibrationError",
        "ClassReport",
        "MultilabelTopKAccuracy",
        "TopKAccuracy",
        "hierarchy_levels",
        "multilabel_topk_accuracy",
        "topk_accuracies",
        "topk_accuracy",
    ),
    "networks": ("SmallCNN",),
    "prediction": (
        "PredictionTrace",
        "TopKPrediction",
        "predict_topk",
        "topk_predictions",
        "trace_prediction",
    ),
    "ranking": (
        "in_topk",
        "target_rank",
        "topk_indices",
    ),
    "report": ("write_report",),
    "temperature_scaler": ("TemperatureScaler",),
}


def __getattr__(name: str) -> object:
    """Import a public name from its module."""
    if name in ("functional", "schedules"):
        return import_module(f"topk_lightning.{name}")
    for module, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"topk_lightning.{module}"), name)
            return value
    raise AttributeError(f"module 'topk_lightning' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
