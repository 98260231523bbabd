"""One pass over labelled images: what a network says of each, in memory that grows by some bytes an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning.classifier import images_and_target
from topk_lightning.networks.outputs import are_probabilities
from topk_lightning.prediction import TrainedModel
from topk_lightning.ranking import target_rank, topk_indices
from topk_lightning.report._labelled_images import LabelledImages

__all__ = ["Evaluation", "Evaluator"]


@dataclass(frozen=True)
class Evaluation:
    """What a network says of N images, in their order; the metrics keep what concerns classes.

    Args:
        index: of each image in the data (N,).
        target: class of each image (N,); of several accepted labels the one that stands first.
        rank: how many classes stand ahead of it (N,), by the order rule; C where its score is NaN.
        loss: −log of its probability (N,); NaN where the scores have no finite maximum.
        best: the k best classes of each image (N, k), best first.
        probability: their probabilities (N, k).
        outside: what is said of the images as a whole, and of those that are left out.
    """

    index: Tensor
    target: Tensor
    rank: Tensor
    loss: Tensor
    best: Tensor
    probability: Tensor
    outside: Outside

    @property
    def broken(self) -> Tensor:
        """Which images have scores that no probabilities can be made of (N,)."""
        return self.loss.isnan()


@dataclass
class Outside:
    """What a pass notices besides the scores.

    Attributes:
        unreadable: why an image could not be read, by its index in the data.
        without_label: images without an accepted label, which are left out.
        several_labels: images with more than one accepted label.
        are_probabilities: whether all outputs look like what a softmax returned.
    """

    unreadable: dict[int, str] = field(default_factory=dict)
    without_label: int = 0
    several_labels: int = 0
    are_probabilities: bool = True


class Scores(NamedTuple):
    """Logits (n, C) of some images, their target (n,) and their indices in the data (n,)."""

    logits: Tensor
    target: Tensor
    indices: Tensor


@dataclass(frozen=True)
class Evaluator:
    """A model, with its number of classes and how the data's classes become its own.

    Args:
        model: the model.
        num_classes: C; None: not known yet.
        match: turns a target of the data into one of the model.
    """

    model: TrainedModel
    num_classes: int | None
    match: Callable[[Tensor], Tensor] = lambda target: target

    def evaluate(self, images: LabelledImages, k: int, *metrics: Any, at_most: int | None = None) -> Evaluation:
        """Return what the model says of the images, and update each of `metrics` with (logits, target)."""
        parts, outside = [], Outside()
        for logits, target, indices in self.scores(images, at_most, outside):
            for metric in metrics:
                metric.update(logits, target)
            # float64 for float64, float32 for the rest, as predictions for people have it.
            log_probability = logits.log_softmax(1, dtype=torch.promote_types(logits.dtype, torch.float32))
            best = topk_indices(logits, k)
            chosen = log_probability.gather(1, torch.cat([target[:, None], best], dim=1)).float()
            # A maximum that is NaN or infinite leaves a row of NaN in part or whole: none of it is trusted.
            chosen[~logits.amax(1).isfinite()] = torch.nan
            parts.append((indices, target, target_rank(logits, target), -chosen[:, 0], best.int(), chosen[:, 1:].exp()))
        if not parts:
            raise _none_left(images, outside)
        index, target, rank, loss, best, probability = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
        return Evaluation(index, target, rank, loss, best, probability, outside)

    def count_outputs(self, images: LabelledImages) -> int:
        """Return the number of scores that the model gives the first image that can be read."""
        outside = Outside()
        alone = replace(images, options={**images.options, "batch_size": 1, "num_workers": 0})
        for logits, _, _ in self.scores(alone, None, outside):
            return logits.shape[1]
        raise _none_left(images, outside)

    def scores(self, images: LabelledImages, at_most: int | None, outside: Outside | None = None) -> Iterator[Scores]:
        """Yield logits, target and indices of each batch, on the network's device, in evaluation mode."""
        device, outside = self.model.device, outside or Outside()
        with self.model.evaluating(), torch.inference_mode():
            for indices, content, unreadable in images.batches(at_most):
                outside.unreadable.update(unreadable)
                if content is None:
                    continue
                inputs, target = images_and_target(content)
                if len(inputs) != len(indices):
                    raise InvalidValueError(must("data", f"collate {len(indices)} images to as many rows", len(inputs)))
                logits = self.model.logits(inputs, self.num_classes)
                outside.are_probabilities &= are_probabilities(logits)
                target = torch.as_tensor(target).to(device)
                # Accepted labels as 0 and 1 are no indices.
                target = self.match(target.float() if target.ndim == 2 else target)
                scores = Scores(logits, target, torch.tensor(indices, device=device))
                if target.ndim == 2:
                    scores = _best_accepted(scores, outside)
                if len(scores.target):
                    yield scores


def _best_accepted(scores: Scores, outside: Outside) -> Scores:
    """Return the scores with one label a row, of the accepted ones that which stands first; rows without any left out."""
    logits, accepted = scores.logits, scores.target
    is_binary = ((accepted == 0) | (accepted == 1)).all()
    if accepted.shape != logits.shape or not is_binary:
        wanted = f"be a class index an image, or its accepted labels as 0 and 1, of shape {tuple(logits.shape)}"
        remedy = "Did you mean target.squeeze(1)?" if accepted.shape[1:] == (1,) else ""
        wrong = f"one of shape {tuple(accepted.shape)}" if is_binary or remedy else "one with other values"
        raise InvalidValueError(must("target", wanted, wrong, remedy))
    count = accepted.sum(1).long()
    outside.without_label += int((count == 0).sum())
    outside.several_labels += int((count > 1).sum())
    logits, accepted, indices = logits[count > 0], accepted[count > 0].bool(), scores.indices[count > 0]
    target, rank = torch.empty_like(indices), torch.full_like(indices, logits.shape[1] + 1)
    for label in accepted.any(0).nonzero().flatten():
        rows = accepted[:, label]
        candidate = target_rank(logits[rows], label.expand(int(rows.sum())))
        first = candidate < rank[rows]
        target[rows] = torch.where(first, label, target[rows])
        rank[rows] = torch.where(first, candidate, rank[rows])
    return Scores(logits, target, indices)


def _none_left(images: LabelledImages, outside: Outside) -> InvalidValueError:
    for index, reason in outside.unreadable.items():
        wrong = f"{len(outside.unreadable)} unreadable ones, {images.name(index)} first ({reason})"
        return InvalidValueError(must("data", "hold at least one readable test image", wrong))
    return InvalidValueError(must("data", "hold at least one image with an accepted label", "none"))
