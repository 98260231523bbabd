"""Stored scores: what a classifier of any framework said of images, with their classes, for every question of this library."""

from topk_lightning.scores._block import ScoreBlock
from topk_lightning.scores._scores import KINDS, Scores

__all__ = ["KINDS", "ScoreBlock", "Scores"]
