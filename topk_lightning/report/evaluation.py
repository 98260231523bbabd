"""One pass over labelled images: what a network says of each, in memory that grows by some bytes an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from topk_lightning.classifier import images_and_target
from topk_lightning.prediction import TrainedModel
from topk_lightning.ranking import target_rank, topk_indices

__all__ = ["Evaluation", "evaluate", "iterate_logits"]


@dataclass(frozen=True)
class Evaluation:
    """What a network says of N images, in their order; the metrics keep what concerns classes.

    Args:
        target: class of each image (N,).
        rank: how many classes stand ahead of it (N,), by the order rule; C where its score is NaN.
        loss: −log of its probability (N,); NaN where the scores have no finite maximum.
        best: the k best classes of each image (N, k), best first.
        probability: their probabilities (N, k).
    """

    target: Tensor
    rank: Tensor
    loss: Tensor
    best: Tensor
    probability: Tensor

    @property
    def broken(self) -> Tensor:
        """Which images have scores that no probabilities can be made of (N,)."""
        return self.loss.isnan()


def evaluate(model: TrainedModel, loader: DataLoader[Any], num_classes: int, k: int, *metrics: Any) -> Evaluation:
    """Return what `model` says of all images of `loader`, and update each of `metrics` with (logits, target)."""
    parts = []
    for logits, target in iterate_logits(model, loader, num_classes):
        for metric in metrics:
            metric.update(logits, target)
        # float64 for float64, float32 for the rest, as predictions for people have it.
        log_probability = logits.log_softmax(1, dtype=torch.promote_types(logits.dtype, torch.float32))
        best = topk_indices(logits, k)
        chosen = log_probability.gather(1, torch.cat([target[:, None], best], dim=1)).float()
        # A maximum that is NaN or infinite leaves a row of NaN in part or whole: none of it is trusted.
        chosen[~logits.amax(1).isfinite()] = torch.nan
        parts.append((target, target_rank(logits, target), -chosen[:, 0], best.int(), chosen[:, 1:].exp()))
    return Evaluation(*(torch.cat(part).cpu() for part in zip(*parts, strict=True)))


def iterate_logits(
    model: TrainedModel, loader: DataLoader[Any], num_classes: int | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield logits (n, C) and target (n,) of each batch, on the network's device, in evaluation mode."""
    with model.evaluating(), torch.inference_mode():
        for batch in loader:
            images, target = images_and_target(batch)
            yield model.logits(images, num_classes), torch.as_tensor(target).to(model.device)
