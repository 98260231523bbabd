"""Stored scores: what a classifier of any framework said of images, with their classes, for every question of this library."""

from topk_lightning.scores._block import ScoreBlock
from topk_lightning.scores._read import SUFFIXES, read_scores
from topk_lightning.scores._scores import KINDS, Scores
from topk_lightning.scores._write import write_scores

__all__ = ["KINDS", "SUFFIXES", "ScoreBlock", "Scores", "read_scores", "write_scores"]
