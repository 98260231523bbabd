"""TopKClassifier: any network, any loss, and top-k metrics in one LightningModule."""

from topk_lightning.classifier.module import TopKClassifier, TopKClassifierBase

__all__ = ["TopKClassifier", "TopKClassifierBase"]
