"""Test images whose labels look wrong, and pairs of classes that could be one: from what a test kept of each image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from topk_lightning.decisions import MergePair, confident_errors, pairs_to_merge
from topk_lightning.findings import SuspectLabel
from topk_lightning.ranking import topk_indices
from topk_lightning.report._evaluation import Evaluation

__all__ = ["Suspects", "suspect_rows"]

_COLUMNS = (
    "order",
    "image",
    "label",
    "probability",
    "suggested",
    "suggested_probability",
    "confident",
    "right_label",
    "note",
)
# Suspects that are named at once: of a million images all together would fill hundreds of MiB.
_AT_ONCE = 10_000


@dataclass(frozen=True)
class Suspects:
    """Order the labels of a test by how wrong they look.

    Args:
        evaluation: what the model says of each image.
        pairs: actual class, predicted class and count (M, 3).
    """

    evaluation: Evaluation
    pairs: Tensor = field(repr=False)

    @cached_property
    def order(self) -> list[int]:
        """Images whose first guess is another class, that with the least probability of its label first."""
        rows = self.evaluation
        chosen = ((rows.rank > 0) & ~rows.broken).nonzero().flatten()
        if not len(chosen):
            return []
        return torch.as_tensor(chosen[topk_indices(rows.loss[chosen].unsqueeze(0), len(chosen))[0]]).tolist()

    @cached_property
    def confident(self) -> Tensor:
        """Which images are confidently another class than their label, by confident learning (N,)."""
        rows = self.evaluation
        label_probability = (-rows.loss.double()).exp()
        return confident_errors(label_probability, rows.probability[:, 0].double(), rows.best[:, 0].long(), rows.target)

    @cached_property
    def surest(self) -> list[int]:
        """Those images in order that are confidently another class."""
        confident = self.confident[self.order].tolist()
        return [index for index, sure in zip(self.order, confident, strict=True) if sure]

    @cached_property
    def merging(self) -> list[MergePair]:
        """Pairs of classes that are taken for each other more often than they are told apart."""
        pairs = pairs_to_merge(self.pairs, len(self.evaluation.target), most=50)
        return [pair for pair in pairs if pair.is_guessed][:10]

    def named(self, order: list[int], classes: Sequence[str], name: Callable[[int], str]) -> list[SuspectLabel]:
        """Return images with their names.

        Args:
            order: the images, as rows of the evaluation.
            classes: names of the classes.
            name: of an image, by its number in the test.
        """
        rows, chosen = self.evaluation, torch.tensor(order, dtype=torch.int64)
        columns = (
            map(name, rows.index[chosen].tolist()),
            (classes[label] for label in rows.target[chosen].tolist()),
            (classes[label] for label in rows.best[chosen, 0].tolist()),
            (-rows.loss[chosen]).exp().tolist(),
            rows.probability[chosen, 0].tolist(),
        )
        return list(map(SuspectLabel, *columns))


def suspect_rows(
    suspects: Suspects, classes: Sequence[str], name: Callable[[int], str]
) -> Iterator[tuple[object, ...]]:
    """Yield a header and the suspects, with two empty columns for the person who works through them.

    Args:
        suspects: of a test.
        classes: names of the classes.
        name: of an image, by its number in the test.
    """
    order = suspects.order
    yield _COLUMNS
    for start in range(0, len(order), _AT_ONCE):
        part = order[start : start + _AT_ONCE]
        named = suspects.named(part, classes, name)
        sure = ("yes" if each else "" for each in suspects.confident[part].tolist())
        for number, (of, yes) in enumerate(zip(named, sure, strict=True), start + 1):
            shares = f"{of.probability:.3g}", of.suggested, f"{of.suggested_probability:.3g}"
            yield (number, of.image, of.label, *shares, yes, "", "")
