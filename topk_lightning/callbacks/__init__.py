"""Callbacks for the trainers of ``pytorch_lightning`` and ``lightning.pytorch``."""

from topk_lightning._checks.callback_error import CallbackError
from topk_lightning.callbacks.coarse_to_fine import CoarseToFine
from topk_lightning.callbacks.k_annealing import KAnnealing
from topk_lightning.callbacks.logger_report import LoggerReport
from topk_lightning.callbacks.prediction_writer import TopKPredictionWriter
from topk_lightning.callbacks.temperature_annealing import TemperatureAnnealing
from topk_lightning.callbacks.topk_monitor import TopKMonitor
from topk_lightning.callbacks.training_trace import TrainingTrace

__all__ = [
    "CallbackError",
    "CoarseToFine",
    "KAnnealing",
    "LoggerReport",
    "TemperatureAnnealing",
    "TopKMonitor",
    "TopKPredictionWriter",
    "TrainingTrace",
]
