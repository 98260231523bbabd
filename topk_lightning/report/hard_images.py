"""The images that a classifier finds hard: confidently wrong, or with the highest loss."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from topk_lightning.ranking import topk_indices
from topk_lightning.report.evaluation import Evaluation
from topk_lightning.report.labelled_images import LabelledImages

__all__ = ["HardImage", "confidently_wrong", "hard_images", "highest_loss", "thumbnail"]

#: Longer side of a thumbnail: twice what a card shows, for fine screens.
SIDE = 224


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
    picture: str


def confidently_wrong(evaluation: Evaluation, count: int) -> list[int]:
    """Return the indices of at most `count` wrong images, the most confident first."""
    wrong = (evaluation.rank > 0) & ~evaluation.broken
    return _largest(evaluation.probability[:, 0], wrong, count)


def highest_loss(evaluation: Evaluation, count: int) -> list[int]:
    """Return the indices of at most `count` images whose class got least probability, the least first."""
    return _largest(evaluation.loss, ~evaluation.broken, count)


def hard_images(
    evaluation: Evaluation, images: LabelledImages, names: Sequence[str], indices: Sequence[int]
) -> list[HardImage]:
    """Return what to show of the images with these indices."""
    found = []
    for index in indices:
        target = int(evaluation.target[index])
        chosen = zip(evaluation.best[index].tolist(), evaluation.probability[index].tolist(), strict=True)
        picture = images.picture(index)
        found.append(
            HardImage(
                name=images.name(index),
                truth=names[target],
                rank=int(evaluation.rank[index]) + 1,
                probability=float((-evaluation.loss[index]).exp()),
                best=[(names[label], probability, label == target) for label, probability in chosen],
                picture="" if picture is None else thumbnail(picture),
            )
        )
    return found


def thumbnail(picture: Image.Image) -> str:
    """Return a small copy as a data URI."""
    small = picture.copy()
    small.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    small.save(buffer, format="WEBP", quality=82)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _largest(values: Tensor, allowed: Tensor, count: int) -> list[int]:
    chosen = allowed.nonzero().flatten()
    if not len(chosen) or not count:
        return []
    best = topk_indices(values[chosen].unsqueeze(0), min(count, len(chosen)))[0]
    return torch.as_tensor(chosen[best]).tolist()
