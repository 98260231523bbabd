"""What a request asks for: the k best classes, or as few as a coverage allows; and the answers to a batch of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from torch import Tensor

from topk_lightning._checks import must
from topk_lightning.prediction import TopKPrediction, TrainedModel, predict_sets, predict_topk
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


def answers_of(model: TrainedModel, asked: Sequence[tuple[Tensor, Wanted]]) -> list[tuple[TopKPrediction, ...]]:
    """Return the classes of each prepared image, best first."""
    answers: dict[int, tuple[TopKPrediction, ...]] = {}
    for coverage in {wanted.coverage for _, wanted in asked}:
        places = [place for place, (_, wanted) in enumerate(asked) if wanted.coverage == coverage]
        images = [asked[place][0] for place in places]
        if coverage is None:
            most = max(asked[place][1].k for place in places)
            rows = cast("list[tuple[TopKPrediction, ...]]", predict_topk(model, images, most, batch_size=len(images)))
            rows = [row[: asked[place][1].k] for place, row in zip(places, rows, strict=True)]
        else:
            sets = predict_sets(model, images, coverage, batch_size=len(images))
            rows = cast("list[tuple[TopKPrediction, ...]]", sets)
        answers.update(zip(places, rows, strict=True))
    return [answers[place] for place in range(len(asked))]
