"""Train, measure and use image classifiers by their k best guesses, with PyTorch Lightning."""

from importlib.metadata import version

from topk_lightning import functional
from topk_lightning.callbacks import TrainingTrace
from topk_lightning.classifier import TopKClassifier
from topk_lightning.data import EmojiDataModule, ExactDistributedSampler, ImageFolderDataModule, Preprocessing
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
    "EmojiDataModule",
    "ExactDistributedSampler",
    "GroupedTopKCrossEntropyLoss",
    "ImageFolderDataModule",
    "MultilabelTopKAccuracy",
    "NoisedTopKHingeLoss",
    "Preprocessing",
    "SmallCNN",
    "SmoothTopKSVMLoss",
    "SoftTopKLoss",
    "TemperatureCrossEntropyLoss",
    "TopKAccuracy",
    "TopKClassifier",
    "TopKCrossEntropyLoss",
    "TopKPrediction",
    "TrainingTrace",
    "TruncatedTopKEntropyLoss",
    "__version__",
    "functional",
    "imbalanced_margins",
    "in_topk",
    "multilabel_topk_accuracy",
    "predict_topk",
    "target_rank",
    "topk_accuracies",
    "topk_accuracy",
    "topk_indices",
    "topk_predictions",
]
