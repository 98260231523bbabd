"""The methods that are compared: losses and curricula of the library, each with four values of its own option."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from settings import Setting
from splits import Split
from torch import Tensor, nn

from topk_lightning import losses
from topk_lightning.curricula import KLadder, TemperatureCurve
from topk_lightning.hierarchy import coarsen_logits, coarsen_target

__all__ = ["BASELINE", "CURRICULA", "FOR_A_TAIL", "METHODS", "Method", "Scheduled", "method_named", "methods_of"]

BASELINE = "cross entropy"
#: What a long tail is compared by.
FOR_A_TAIL = ("logit-adjusted CE", "noised hinge")


class Scheduled(nn.Module):
    """A loss of which something follows the progress of training.

    Args:
        loss: called as ``loss(logits, target)``.
        follow: sets it to a progress in [0, 1].
    """

    def __init__(self, loss: nn.Module, follow: Callable[[Any, float], None]) -> None:
        super().__init__()
        self.loss, self.follow = loss, follow

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        value: Tensor = self.loss(logits, target)
        return value


class CoarseThenFine(nn.Module):
    """Cross entropy on groups of classes at first, on classes afterwards, as `CoarseToFine` does in a Trainer."""

    def __init__(self, groups: Tensor) -> None:
        super().__init__()
        self.groups, self.num_groups, self.coarse = groups, int(groups.max()) + 1, True
        self.loss = nn.CrossEntropyLoss()

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        if self.coarse:
            logits = coarsen_logits(logits, self.groups, self.num_groups)
            target = coarsen_target(target, self.groups, self.num_groups)
        value: Tensor = self.loss(logits, target)
        return value


class InTurn(nn.Module):
    """One loss at first, another afterwards."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.is_second = first, second, False

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        value: Tensor = (self.second if self.is_second else self.first)(logits, target)
        return value


@dataclass(frozen=True)
class Method:
    """A loss, or a curriculum.

    Attributes:
        name: what it is called in tables.
        option: what its own option is, in words; "" for none.
        values: the four values of it.
        make: the loss for a value in a split.
        by_split: whether the loss depends on the split.
    """

    name: str
    option: str
    values: Sequence[Any]
    make: Callable[[Any, Split], nn.Module]
    by_split: bool = False

    def loss(self, option: int, split: Split) -> nn.Module:
        """Return the loss for one of the values."""
        return self.make(self.values[option % len(self.values)], split)


def _temperature(start: float, split: Split) -> nn.Module:
    curve = TemperatureCurve("exponential", start, 1.0, 0.0, 1.0)

    def follow(loss: losses.TemperatureCrossEntropyLoss, progress: float) -> None:
        loss.temperature = curve(progress)

    return Scheduled(losses.TemperatureCrossEntropyLoss(scale_loss="T"), follow)


def _ladder(at: tuple[float, float], split: Split) -> nn.Module:
    ladder = KLadder((5, 3, 1), (0, *at), None, None, 1, "max")

    def follow(loss: losses.SmoothTopKSVMLoss, progress: float) -> None:
        loss.k = ladder.value_at(progress)

    return Scheduled(losses.SmoothTopKSVMLoss(k=5), follow)


def _coarse_to_fine(hold: float, split: Split) -> nn.Module:
    def follow(loss: CoarseThenFine, progress: float) -> None:
        loss.coarse = progress <= hold

    return Scheduled(CoarseThenFine(split.groups), follow)


def _then_truncated(at: float, split: Split) -> nn.Module:
    def follow(loss: InTurn, progress: float) -> None:
        loss.is_second = progress >= at

    return Scheduled(InTurn(nn.CrossEntropyLoss(), losses.TruncatedTopKEntropyLoss(k=5)), follow)


def _svm(k: int, temperature: float, split: Split) -> nn.Module:
    return losses.SmoothTopKSVMLoss(k=k, temperature=temperature)


def _topk_cross_entropy(option: tuple[Sequence[float], float, str], split: Split) -> nn.Module:
    chances, temperature, mode = option
    return losses.TopKCrossEntropyLoss(chances, temperature=temperature, num_candidates=None, top1_mode=mode)


def _with_margins(noise: float, split: Split) -> nn.Module:
    # The rarest class has the margin 3: 1 left the frequent ones next to none.
    margins = losses.imbalanced_margins(split.class_counts, max_margin=3.0)
    return losses.NoisedTopKHingeLoss(k=5, noise=noise, num_samples=3, margins=margins)


_EQUAL = (0.2,) * 5
_NOISED = Method(
    "noised hinge",
    "noise",
    (0.3, 1.0, 3.0, 10.0),
    lambda noise, split: losses.NoisedTopKHingeLoss(k=5, noise=noise, num_samples=3),
)

METHODS: list[Method] = [
    Method(BASELINE, "", (None,), lambda value, split: nn.CrossEntropyLoss()),
    Method(
        "temperature CE",
        "temperature",
        (2.0, 3.0, 5.0, 10.0),
        lambda t, split: losses.TemperatureCrossEntropyLoss(t, scale_loss="T"),
    ),
    Method(
        "smooth SVM, in logits",
        "temperature",
        (0.5, 1.0, 2.0, 5.0),
        partial(_svm, 5),
    ),
    Method(
        "smooth SVM, published",
        "temperature",
        (0.1, 0.3, 1.0, 3.0),
        lambda t, split: losses.SmoothTopKSVMLoss(k=5, temperature=t, units="published"),
    ),
    Method(
        "label smoothing",
        "smoothing",
        (0.03, 0.1, 0.2, 0.4),
        lambda share, split: nn.CrossEntropyLoss(label_smoothing=share),
    ),
    Method(
        "logit-adjusted CE",
        "strength",
        (0.25, 0.5, 1.0, 1.5),
        lambda strength, split: losses.LogitAdjustedCrossEntropyLoss(split.class_counts, strength),
        by_split=True,
    ),
    Method(
        "soft top-5",
        "temperature",
        (0.5, 1.0, 2.0, 4.0),
        lambda t, split: losses.SoftTopKLoss(k=5, temperature=t),
    ),
    Method(
        "top-k CE",
        "P(k), temperature, mode",
        ((_EQUAL, 2.0, "sm"), (_EQUAL, 16.0, "sm"), (_EQUAL, 16.0, "smce"), ((0.5, 0, 0, 0, 0.5), 2.0, "sm")),
        _topk_cross_entropy,
    ),
    _NOISED,
]

CURRICULA: list[Method] = [
    Method("coarse to fine", "hold", (0.1, 0.2, 0.3, 0.5), _coarse_to_fine, by_split=True),
    Method("temperature to 1", "start", (0.5, 2.0, 4.0, 10.0), _temperature),
    Method("k 5, 3, 1", "at", ((0.2, 0.4), (0.35, 0.6), (0.5, 0.8), (0.7, 0.9)), _ladder),
]

_MORE: list[Method] = [
    Method("CE, then truncated", "at", (0.2, 0.4, 0.6, 0.8), _then_truncated, by_split=True),
    *(Method(f"smooth SVM, k = {k}", "temperature", (0.5, 1.0, 2.0, 5.0), partial(_svm, k)) for k in (3, 10)),
]


def methods_of(setting: Setting, *, full: bool = False, curricula: bool = False) -> list[Method]:
    """Return what is compared in a setting, the baseline first; curricula where the setting says so, or always."""
    found = [*METHODS, *(CURRICULA if curricula or setting.curricula else ()), *(_MORE if full else ())]
    if setting.tail:
        with_margins = Method("noised hinge", "noise", _NOISED.values, _with_margins, by_split=True)
        found[found.index(_NOISED)] = with_margins
    return found


def method_named(setting: Setting, name: str) -> Method:
    """Return the method of a name, as it is in a setting."""
    known = methods_of(setting, full=True, curricula=True)
    return next(method for method in known if method.name == name)
