"""Predictions for people: the k best classes with names and probabilities, from outputs or from images."""

from topk_lightning.prediction.image_sources import list_images
from topk_lightning.prediction.predict_topk import predict_topk
from topk_lightning.prediction.topk_predictions import TopKPrediction, topk_predictions

__all__ = ["TopKPrediction", "list_images", "predict_topk", "topk_predictions"]
