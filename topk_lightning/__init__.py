"""Train, measure and use image classifiers by their k best guesses, with PyTorch Lightning."""

from importlib.metadata import version

from topk_lightning import functional, schedules
from topk_lightning.callbacks import (
    CoarseToFine,
    KAnnealing,
    TemperatureAnnealing,
    TopKMonitor,
    TopKPredictionWriter,
    TrainingTrace,
    load_pretrained,
)
from topk_lightning.classifier import TopKClassifier
from topk_lightning.data import EmojiDataModule, ExactDistributedSampler, ImageFolderDataModule, Preprocessing
from topk_lightning.hierarchy import Hierarchy, coarsen_logits, coarsen_target
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
    MultilabelTopKAccuracy,
    TopKAccuracy,
    multilabel_topk_accuracy,
    topk_accuracies,
    topk_accuracy,
)
from topk_lightning.networks import SmallCNN
from topk_lightning.prediction import TopKPrediction, predict_topk, topk_predictions
from topk_lightning.ranking import in_topk, target_rank, topk_indices

__version__ = version("topk-lightning")

__all__ = [
    "CalibratedTopKHingeLoss",
    "CoarseToFine",
    "EmojiDataModule",
    "ExactDistributedSampler",
    "GroupedTopKCrossEntropyLoss",
    "Hierarchy",
    "ImageFolderDataModule",
    "KAnnealing",
    "MultilabelTopKAccuracy",
    "NoisedTopKHingeLoss",
    "Preprocessing",
    "SmallCNN",
    "SmoothTopKSVMLoss",
    "SoftTopKLoss",
    "TemperatureAnnealing",
    "TemperatureCrossEntropyLoss",
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
    "functional",
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
]
