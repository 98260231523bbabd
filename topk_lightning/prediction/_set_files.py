"""What was fitted for a network, put into its checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._files import replacing
from topk_lightning.decisions import ClassList, PredictionSets
from topk_lightning.prediction._checkpoint import read_checkpoint
from topk_lightning.prediction._fitted import CLASSES_KEY, Fitted

__all__ = ["promised_sets", "save_fitted", "save_prediction_sets"]


def save_fitted(checkpoint: str | Path, *, classes: ClassList | None = None, **fits: Any) -> None:
    """Put what was fitted into a checkpoint, in one move, as plain data; what of its kind was there is replaced.

    It belongs to the weights in the file: a training that goes on from it saves its checkpoints without it.

    Args:
        checkpoint: file that TopKClassifier saved.
        classes: the classes that it was fitted for; None: all.
        fits: ``sets`` (:class:`topk_lightning.PredictionSets`), ``plan`` (:class:`topk_lightning.decisions.ReviewPlan`) and
            ``sure`` (:class:`topk_lightning.decisions.RollUp`), fitted on images that the network did not learn.

    Raises:
        FileNotFoundError: no such file.
        ValueError: something else, or sets that are not fitted.
    """
    content, _ = read_checkpoint(checkpoint)
    if Path(checkpoint).is_dir():
        remedy = "An exported folder keeps no fits: predict with the checkpoint that it came from."
        raise InvalidValueError(
            must("checkpoint", "be a file to keep a fit", f"the folder {str(checkpoint)!r}", remedy)
        )
    before = Fitted.of(content)
    lists = {name: each for name, each in before.classes.items() if name not in fits}
    lists |= {} if classes is None else dict.fromkeys(fits, classes)
    content.pop(CLASSES_KEY, None)
    replace(before, **fits, classes=lists).put(content)
    with replacing(checkpoint) as part:
        torch.save(content, part)


def save_prediction_sets(checkpoint: str | Path, sets: PredictionSets, classes: ClassList | None = None) -> None:
    """Put fitted sets into a checkpoint, as :func:`save_fitted` does.

    Args:
        checkpoint: file that TopKClassifier saved.
        sets: fitted on images that the network did not learn.
        classes: the classes that they were fitted for; None: all.
    """
    save_fitted(checkpoint, classes=classes, sets=sets)


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
    found: PredictionSets = Fitted(sets=sets).get("sets", None, checkpoint, is_adjusted)
    if found.options.by == "group":
        raise InvalidValueError(must("sets", "ask for no group of each image here", 'those of by="group"'))
    return found if coverage is None else found.at(coverage)
