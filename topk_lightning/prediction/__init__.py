"""Predictions for people: the k best classes with names and probabilities, from outputs or from images, and their trace."""

from topk_lightning.prediction.image_sources import list_images
from topk_lightning.prediction.layers import LayerTrace
from topk_lightning.prediction.predict_topk import predict_topk
from topk_lightning.prediction.topk_predictions import TopKPrediction, topk_predictions
from topk_lightning.prediction.trace import PredictionTrace, trace_prediction

__all__ = [
    "LayerTrace",
    "PredictionTrace",
    "TopKPrediction",
    "list_images",
    "predict_topk",
    "topk_predictions",
    "trace_prediction",
]
