"""Which labels look wrong: images whose given class is improbable to a model that did not learn them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks.options import check_integer
from topk_lightning.decisions._confidences import as_scores, labels_alike
from topk_lightning.ranking import topk_indices
from topk_lightning.scores import Scores

__all__ = ["ConfidentJoint", "SuspectLabels", "confident_errors", "confident_joint", "suspect_labels"]


@dataclass(frozen=True, eq=False)
class SuspectLabels:
    """Images in the order in which a person should look at their labels.

    Attributes:
        index: of the images, the most suspect first (M,).
        given: class that each is labelled with (M,).
        probability: of that class (M,).
        suggested: the first guess (M,).
        suggested_probability: its probability (M,).
        estimated: about how many labels are wrong, by the confident joint, among all images.
    """

    index: Tensor
    given: Tensor
    probability: Tensor
    suggested: Tensor
    suggested_probability: Tensor
    estimated: int


def suspect_labels(scores: Any, target: Any = None, *, most: int | None = None, kind: str = "logits") -> SuspectLabels:
    """Return the images whose given class is least probable, of those whose first guess is another class.

    The scores must be out of sample: of validation or test images, or of a cross-validation; a model that learned a wrong
    label finds it probable. The order by the probability of the given class found more wrong labels than the margin to the
    first guess, and than the filters of confident learning. How many are wrong is estimated by the confident joint; it
    finds too many where the model itself is often wrong.

    Shape:
        scores (N, C), target (N,).

    Args:
        scores: :class:`topk_lightning.Scores`, or an array (N, C) beside `target`.
        target: given class of each image, beside an array.
        most: how many images are returned at most; None: all whose first guess is another class.
        kind: what an array holds: "logits" or "probabilities".

    Raises:
        ValueError: no target, shapes that do not match.

    Examples:
        >>> logits = torch.tensor([[3.0, 0.0], [0.0, 3.0], [0.0, 2.0], [0.0, 3.0]])
        >>> found = suspect_labels(logits, torch.tensor([0, 1, 0, 0]))
        >>> found.index, found.suggested
        (tensor([3, 2]), tensor([1, 1]))

    Source: Northcutt, Jiang and Chuang, Confident learning, 2021, where this order is called self-confidence.
    """
    given = as_scores(scores, target, kind)
    label = labels_alike(given, "suspect labels")
    if most is not None:
        check_integer("most", most)
    own_log, best, first = [], [], []
    for block in given.blocks("suspect labels"):
        logs = block.log_probabilities()
        guess = topk_indices(block.values, 1)
        own_log.append(logs.gather(1, label[block.start : block.start + len(block)].unsqueeze(1)).flatten())
        best.append(logs.gather(1, guess).flatten())
        first.append(guess.flatten())
    of_label, of_guess, guesses = torch.cat(own_log), torch.cat(best), torch.cat(first)
    # A score that is no number says nothing of a label.
    candidates = ((guesses != label) & of_label.isnan().logical_not() & of_guess.isfinite()).nonzero().flatten()
    count = len(candidates) if most is None else min(most, len(candidates))
    order = topk_indices(-of_label[candidates].unsqueeze(0), count).flatten() if count else candidates
    index = candidates[order]
    return SuspectLabels(
        index,
        label[index],
        of_label[index].exp(),
        guesses[index],
        of_guess[index].exp(),
        confident_joint(given).estimated_errors,
    )


def confident_errors(label_probability: Tensor, first: Tensor, guess: Tensor, label: Tensor) -> Tensor:
    """Return which images are confidently their first guess and labelled otherwise (N,), from four numbers an image.

    The first guess is confident if its probability reaches the mean probability of that class among the images labelled
    with it, as in :func:`confident_joint`; there another class may be confident where the first guess is not.

    Args:
        label_probability: probability of the given class (N,); NaN: unknown.
        first: probability of the first guess (N,).
        guess: the first guess (N,).
        label: the given class (N,).

    Examples:
        >>> label_probability = torch.tensor([0.9, 0.7, 0.9, 0.1])
        >>> first_probability = torch.tensor([0.9, 0.7, 0.9, 0.9])
        >>> guess, label = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 0])
        >>> confident_errors(label_probability, first_probability, guess, label)
        tensor([False, False, False,  True])
    """
    classes = int(torch.cat([guess, label]).max()) + 1 if len(label) else 0
    known = label_probability.isfinite()
    sums = torch.zeros(classes, dtype=torch.float64).index_add(0, label[known], label_probability[known].double())
    # A class without images is nobody's label: the mean is NaN, which nothing reaches.
    means = sums / torch.bincount(label[known], minlength=classes)
    return (guess != label) & known & (first >= means[guess] - 1e-6)


@dataclass(frozen=True, eq=False)
class ConfidentJoint:
    """Count images by the class they are labelled with and the class they confidently are.

    Attributes:
        counts: labelled a, confidently b (C, C), int64; images that are confidently nothing are not in it.
        images: images labelled with each class (C,).
    """

    counts: Tensor
    images: Tensor

    @property
    def estimated_errors(self) -> int:
        """About how many labels are wrong: each row is scaled to the images of its class."""
        rows = self.counts.sum(1).clamp(min=1)
        off = self.counts.sum(1) - self.counts.diagonal()
        return round(float((off.double() / rows * self.images).sum()))


def confident_joint(scores: Any, target: Any = None, *, kind: str = "logits") -> ConfidentJoint:
    """Return how many images labelled with one class are confidently another.

    The threshold of a class is its mean probability among the images labelled with it. An image is confidently a class if
    its probability reaches the threshold; of several such classes it is the most probable. A row with a score that is no
    number is confidently nothing.

    Shape:
        scores (N, C), target (N,).

    Args:
        scores: :class:`topk_lightning.Scores`, or an array (N, C) beside `target`.
        target: given class of each image, beside an array.
        kind: what an array holds: "logits" or "probabilities".

    Examples:
        >>> probabilities = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.1, 0.9], [0.1, 0.9]])
        >>> confident_joint(probabilities, torch.tensor([0, 0, 1, 0]), kind="probabilities").counts
        tensor([[2, 1],
                [0, 1]])

    Source: Northcutt, Jiang and Chuang, Confident learning, 2021, equation 1.
    """
    given = as_scores(scores, target, kind)
    label = labels_alike(given, "the confident joint")
    classes = given.num_classes
    images = torch.bincount(label, minlength=classes)
    # A class without images is nobody's label: no image can confidently be it.
    thresholds = _own_probability(given, label, classes) / images
    counts = torch.zeros(classes * classes, dtype=torch.int64)
    for block in given.blocks("the confident joint"):
        p = block.log_probabilities().exp()
        confident = torch.where(p >= thresholds - 1e-6, p, -1.0)  # NaN reaches nothing
        guess = topk_indices(confident, 1)
        kept = confident.gather(1, guess).flatten() >= 0
        of_block = label[block.start : block.start + len(block)]
        counts += torch.bincount((of_block * classes + guess.flatten())[kept], minlength=classes * classes)
    return ConfidentJoint(counts.view(classes, classes), images)


def _own_probability(scores: Scores, label: Tensor, classes: int) -> Tensor:
    """Return for each class the sum of its probability over the images labelled with it."""
    sums = torch.zeros(classes, dtype=torch.float64)
    for block in scores.blocks("the confident joint"):
        of_block = label[block.start : block.start + len(block)]
        of_label = block.log_probabilities().gather(1, of_block.unsqueeze(1)).flatten().exp()
        sums.index_add_(0, of_block, of_label.nan_to_num())
    return sums
