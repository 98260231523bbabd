"""Predictions for people: the k best classes with names and probabilities, from outputs or from images."""

from topk_lightning.prediction.topk_predictions import TopKPrediction, topk_predictions

__all__ = ["TopKPrediction", "topk_predictions"]
