"""What a request asks for: the k best classes, or as few as a coverage allows; and the answers to a batch of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

from torch import Tensor

from topk_lightning._checks import must
from topk_lightning.prediction import Answer, Decider, TrainedModel, predict_answers, promised_sets
from topk_lightning.serving._errors import RequestError, check_asked_k

__all__ = ["Wanted", "answers_of", "check_asked"]


class Wanted(NamedTuple):
    """How many classes a request wants: k, or with a coverage as many as that takes."""

    k: int
    coverage: float | None = None


def check_asked(query: Mapping[str, str], default: Wanted, num_classes: int, has_sets: bool) -> Wanted:
    """Return what a query such as ``?k=3`` or ``?coverage=0.9`` asks for."""
    k, coverage = query.get("k"), query.get("coverage")
    if k is not None and coverage is not None:
        raise RequestError(400, must("the query", "hold k or coverage", "both"))
    if coverage is None:
        return default if k is None else Wanted(check_asked_k(k, default.k, num_classes))
    if not has_sets:
        remedy = "Run topk-lightning sets with the checkpoint, and serve it again."
        raise RequestError(400, must("coverage", "be left out for a model without prediction sets", "one", remedy))
    try:
        share = float(coverage)
    except ValueError:
        share = float("nan")
    if not 0 < share < 1:
        raise RequestError(400, must("coverage", "be a number between 0 and 1", repr(coverage[:40])))
    return Wanted(default.k, share)


def answers_of(model: TrainedModel, decide: Decider, asked: Sequence[tuple[Tensor, Wanted]]) -> list[Answer]:
    """Return what is said of each prepared image.

    Args:
        model: the model.
        decide: what is said besides the best classes.
        asked: each image with what its request wants.
    """
    answers: dict[int, Answer] = {}
    for coverage in {wanted.coverage for _, wanted in asked}:
        rows = [row for row, (_, wanted) in enumerate(asked) if wanted.coverage == coverage]
        images = [asked[row][0] for row in rows]
        sets = None if coverage is None else promised_sets(decide.sets, coverage)
        most = max(asked[row][1].k for row in rows)
        answered = predict_answers(model, images, replace(decide, k=most, sets=sets), batch_size=len(images))
        for row, answer in zip(rows, cast("list[Answer]", answered), strict=True):
            shown = answer.predictions if coverage is not None else answer.predictions[: asked[row][1].k]
            answers[row] = answer._replace(predictions=shown)
    return [answers[row] for row in range(len(asked))]
