"""One pass over labelled images: what a network says of each, in memory that grows by some bytes an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning.classifier import images_and_target
from topk_lightning.decisions import ClassList
from topk_lightning.networks.outputs import are_probabilities
from topk_lightning.prediction import TrainedModel
from topk_lightning.ranking import target_rank, topk_indices
from topk_lightning.report._labelled_images import LabelledImages

__all__ = ["Answers", "Evaluation", "Evaluator", "Outside", "evaluate"]


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
        impossible: images of classes that are not possible, which are left out.
        are_probabilities: whether all outputs look like what a softmax returned.
    """

    unreadable: dict[int, str] = field(default_factory=dict)
    without_label: int = 0
    several_labels: int = 0
    impossible: int = 0
    are_probabilities: bool = True


class Answers(NamedTuple):
    """What was said of some images.

    Attributes:
        logits: logits (n, C).
        target: class of each image (n,).
        indices: of the images in the data (n,).
        order: scores (n, C) that say the order of the classes; None: the logits do.
    """

    logits: Tensor
    target: Tensor
    indices: Tensor
    order: Tensor | None = None


def evaluate(
    batches: Iterable[Answers], k: int, outside: Outside, report: Any = None, *metrics: Any
) -> Evaluation | None:
    """Return what was said of all images; None where there is none.

    Args:
        batches: the images, some at a time.
        k: how many best classes to keep of each.
        outside: what the batches notice besides the scores.
        report: updated with the scores that say the order, and the target.
        metrics: updated with logits and target.
    """
    parts = []
    for logits, target, indices, order in batches:
        scores = logits if order is None else order
        for metric, given in ((report, scores), *((metric, logits) for metric in metrics)):
            if metric is not None:
                metric.update(given, target)
        # float64 for float64, float32 for the rest, as predictions for people have it.
        log_probability = logits.log_softmax(1, dtype=torch.promote_types(logits.dtype, torch.float32))
        best = topk_indices(scores, k)
        chosen = log_probability.gather(1, torch.cat([target[:, None], best], dim=1)).float()
        # A maximum that is NaN or infinite leaves a row of NaN in part or whole: none of it is trusted.
        chosen[~logits.amax(1).isfinite()] = torch.nan
        parts.append((indices, target, target_rank(scores, target), -chosen[:, 0], best.int(), chosen[:, 1:].exp()))
    if not parts:
        return None
    index, target, rank, loss, best, probability = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
    return Evaluation(index, target, rank, loss, best, probability, outside)


@dataclass(frozen=True)
class Evaluator:
    """A model, with its number of classes and how the data's classes become its own.

    Args:
        model: the model.
        num_classes: C; None: not known yet.
        match: turns a target of the data into one of the model.
        classes: the classes that are possible, of which alone scores and targets speak then; None: all.
    """

    model: TrainedModel
    num_classes: int | None
    match: Callable[[Tensor], Tensor] = lambda target: target
    classes: ClassList | None = None

    def evaluate(self, images: LabelledImages, k: int, *metrics: Any, at_most: int | None = None) -> Evaluation:
        """Return what the model says of the images, and update each of `metrics` with (logits, target)."""
        outside = Outside()
        evaluation = evaluate(self.answers(images, at_most, outside), k, outside, *metrics)
        if evaluation is None:
            raise _none_left(images, outside)
        return evaluation

    def count_outputs(self, images: LabelledImages) -> int:
        """Return the number of scores that the model gives the first image that can be read."""
        outside = Outside()
        alone = replace(images, options={**images.options, "batch_size": 1, "num_workers": 0})
        for logits, *_ in self.answers(alone, None, outside):
            return logits.shape[1]
        raise _none_left(images, outside)

    def answers(self, images: LabelledImages, at_most: int | None, outside: Outside | None = None) -> Iterator[Answers]:
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
                answers = Answers(logits, target, torch.tensor(indices, device=device))
                if self.classes is not None:
                    answers = _possible(answers, self.classes, outside)
                if answers.target.ndim == 2:
                    answers = _best_accepted(answers, outside)
                if len(answers.target):
                    yield answers


def _possible(answers: Answers, classes: ClassList, outside: Outside) -> Answers:
    """Return the answers among the possible classes, without the images of others."""
    logits, target = classes.logits(answers.logits), answers.target
    if target.ndim == 2:
        target = target[:, list(classes.indices)]
        kept = target.any(1)
    else:
        target = classes.target(target)
        kept = target >= 0
    outside.impossible += int((~kept).sum())
    return Answers(logits[kept], target[kept], answers.indices[kept])


def _best_accepted(answers: Answers, outside: Outside) -> Answers:
    """Return the answers with one label a row, of the accepted ones that which stands first; rows without any left out."""
    logits, accepted = answers.logits, answers.target
    is_binary = ((accepted == 0) | (accepted == 1)).all()
    if accepted.shape != logits.shape or not is_binary:
        wanted = f"be a class index an image, or its accepted labels as 0 and 1, of shape {tuple(logits.shape)}"
        remedy = "Did you mean target.squeeze(1)?" if accepted.shape[1:] == (1,) else ""
        wrong = f"one of shape {tuple(accepted.shape)}" if is_binary or remedy else "one with other values"
        raise InvalidValueError(must("target", wanted, wrong, remedy))
    count = accepted.sum(1).long()
    outside.without_label += int((count == 0).sum())
    outside.several_labels += int((count > 1).sum())
    logits, accepted, indices = logits[count > 0], accepted[count > 0].bool(), answers.indices[count > 0]
    target, rank = torch.empty_like(indices), torch.full_like(indices, logits.shape[1] + 1)
    for label in accepted.any(0).nonzero().flatten():
        rows = accepted[:, label]
        candidate = target_rank(logits[rows], label.expand(int(rows.sum())))
        first = candidate < rank[rows]
        target[rows] = torch.where(first, label, target[rows])
        rank[rows] = torch.where(first, candidate, rank[rows])
    return Answers(logits, target, indices)


def _none_left(images: LabelledImages, outside: Outside) -> InvalidValueError:
    for index, reason in outside.unreadable.items():
        wrong = f"{len(outside.unreadable)} unreadable ones, {images.name(index)} first ({reason})"
        return InvalidValueError(must("data", "hold at least one readable test image", wrong))
    return InvalidValueError(must("data", "hold at least one image with an accepted label", "none"))
