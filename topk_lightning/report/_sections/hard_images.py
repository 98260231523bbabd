"""The images that a classifier finds hard: confidently wrong, or with the highest loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from topk_lightning.ranking import topk_indices
from topk_lightning.report._results import Results
from topk_lightning.report._section import Section
from topk_lightning.report._thumbnail import thumbnail

__all__ = ["ORDER", "section"]

ORDER = 60


@dataclass(frozen=True)
class HardImage:
    """An image with its k best classes.

    Args:
        name: file, or what the data calls it.
        truth: name of its class.
        rank: place of its class, from 1.
        probability: of its class.
        best: names and probabilities of the k best classes, best first, and whether each is the true one.
        picture: a data URI; "" where there is nothing to show.
    """

    name: str
    truth: str
    rank: int
    probability: float
    best: Sequence[tuple[str, float, bool]]
    picture: str = field(metadata={"json": False})


def section(results: Results) -> Section:
    """Return the most confident errors, the highest losses, and the names of images whose scores are not finite."""
    evaluation, count = results.evaluation, results.hard_images
    errors = _largest(evaluation.probability[:, 0], (evaluation.rank > 0) & ~evaluation.broken, count)
    # Twice as many, since some are among the errors that are shown.
    losses = [index for index in _largest(evaluation.loss, ~evaluation.broken, 2 * count) if index not in errors][
        :count
    ]
    broken = evaluation.broken.nonzero().flatten().tolist()
    data: dict[str, Any] = {
        "note": "Pictures need the images: stored scores hold their names alone." if results.unknown else "",
        "confident_errors": [_card(results, index) for index in errors],
        "highest_loss": [_card(results, index) for index in losses],
        "broken": [
            f"{results.data.test.name(index)} ({results.class_names[int(evaluation.target[index])]})"
            for index in broken
        ],
        "broken_note": f"{len(broken):,} {'image has' if len(broken) == 1 else 'images have'} scores without a finite "
        "maximum (NaN or infinite), and so no probabilities. Where a score is NaN there is no first guess: a miss, and no "
        "confusion. Where it is the score of the true class, it is a miss at every k.",
    }
    values = {name: data[name] for name in ("confident_errors", "highest_loss")}
    return Section("Hard images", data, {**values, "not_finite": data["broken"], "note": data["note"]})


def _card(results: Results, index: int) -> HardImage:
    evaluation, names = results.evaluation, results.class_names
    target = int(evaluation.target[index])
    best = zip(evaluation.best[index].tolist(), evaluation.probability[index].tolist(), strict=True)
    picture = results.data.test.shown(int(evaluation.index[index]))
    return HardImage(
        name=_name(results, index),
        truth=names[target],
        rank=int(evaluation.rank[index]) + 1,
        probability=float((-evaluation.loss[index]).exp()),
        best=[(names[label], probability, label == target) for label, probability in best],
        picture="" if picture is None else thumbnail(picture),
    )


def _name(results: Results, index: int) -> str:
    return results.data.test.name(int(results.evaluation.index[index]))


def _largest(values: Tensor, allowed: Tensor, count: int) -> list[int]:
    """Return the indices of at most `count` allowed values, the largest first."""
    chosen = allowed.nonzero().flatten()
    if not len(chosen) or not count:
        return []
    best = topk_indices(values[chosen].unsqueeze(0), min(count, len(chosen)))[0]
    return torch.as_tensor(chosen[best]).tolist()
