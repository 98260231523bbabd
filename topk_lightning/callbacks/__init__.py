"""Callbacks for the trainers of ``pytorch_lightning`` and ``lightning.pytorch``."""

from topk_lightning.callbacks.training_trace import TrainingTrace

__all__ = ["TrainingTrace"]
