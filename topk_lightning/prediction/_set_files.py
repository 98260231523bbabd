"""Prediction sets in the checkpoint of the network that they were fitted for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._files import replacing
from topk_lightning.decisions import PredictionSets
from topk_lightning.prediction._checkpoint import read_checkpoint

__all__ = ["SETS_KEY", "promised_sets", "save_prediction_sets", "sets_of_checkpoint"]

SETS_KEY = "prediction_sets"


def save_prediction_sets(checkpoint: str | Path, sets: PredictionSets) -> None:
    """Put fitted sets into a checkpoint, in one move, as plain data; sets that were there are replaced.

    They belong to the weights in it: a training that goes on from it saves its checkpoints without them.

    Args:
        checkpoint: file that TopKClassifier saved.
        sets: fitted on images that the network did not learn.

    Raises:
        FileNotFoundError: no such file.
        ValueError: something else, or sets that are not fitted.
    """
    content, _ = read_checkpoint(checkpoint)
    content[SETS_KEY] = sets.as_dict()
    with replacing(checkpoint) as part:
        torch.save(content, part)


def sets_of_checkpoint(content: Any) -> PredictionSets | None:
    """Return the sets in what was read of a checkpoint; None where there are none."""
    plain = content.get(SETS_KEY)
    return None if plain is None else PredictionSets.from_dict(plain)


def promised_sets(
    sets: PredictionSets | None, coverage: float | None, checkpoint: str = "CHECKPOINT", is_adjusted: bool = False
) -> PredictionSets:
    """Return the sets of a model with a promise, for images of which no group is known.

    Args:
        sets: those that it has.
        coverage: the promise; None: that of the fit.
        checkpoint: of the model, for the error where it has none.
        is_adjusted: whether the scores will be adjusted, for which sets that were fitted without do not keep their promise.
    """
    if is_adjusted:
        requirement, remedy = "be 0 with prediction sets of the checkpoint", "They promise for its scores as they are."
        raise InvalidValueError(must("logit_adjustment", requirement, "another strength", remedy))
    if sets is None:
        remedy = f"Run topk-lightning sets {checkpoint} first."
        raise InvalidValueError(must("the model", "have prediction sets that were fitted for it", "none", remedy))
    if sets.options.by == "group":
        raise InvalidValueError(must("sets", "ask for no group of each image here", 'those of by="group"'))
    return sets if coverage is None else sets.at(coverage)
