"""A loss on groups of classes, on classes, or on both, and the accuracies of what it saw."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from topk_lightning._checks import must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning._checks.losses import check_rows
from topk_lightning._checks.options import check_ks
from topk_lightning._checks.scores import check_scores, check_target
from topk_lightning.callbacks._topk_log import TopKLog
from topk_lightning.hierarchy import Hierarchy, check_same_number, coarsen_logits, coarsen_target

__all__ = ["CoarseLoss"]

_SEVERAL_LABELS = (
    nn.BCELoss,
    nn.BCEWithLogitsLoss,
    nn.MultiLabelMarginLoss,
    nn.MultiLabelSoftMarginLoss,
    nn.MSELoss,
)


class _Seen(NamedTuple):
    logits: Tensor
    target: Tensor
    coarse_logits: Tensor
    coarse_target: Tensor


class CoarseLoss:
    """Compute weight · L(groups) + (1 − weight) · L(classes) with one loss L.

    Args:
        attribute: what the module calls the loss, for errors.
        hierarchy: the group of each class.
        k: of the accuracies; None: 1 and min(5, C).
        loss: the loss of the module, an object with options (class_dim, ignore_index, k) or a plain function.

    Raises:
        CallbackError: a loss that has class weights or other tensors of one number a class, a loss of several labels, an
            ignored label that is the index of a group.
    """

    def __init__(self, attribute: str, hierarchy: Hierarchy, k: tuple[int, ...] | None, loss: Any) -> None:
        self.loss = loss
        self.num_classes, self.num_groups = len(hierarchy.groups), hierarchy.num_groups
        self.groups = torch.tensor(hierarchy.groups)
        self.class_dim: int = _option(loss, "class_dim", 1)
        self.ignore_index: int = _option(loss, "ignore_index", -100)
        self._check(attribute)
        self.weight = 0.0
        self.seen: list[_Seen] = []
        options = {"class_dim": self.class_dim, "ignore_index": self.ignore_index}
        self._k = k
        self._logs = TopKLog("{stage}/fine_top{k}", **options), TopKLog("{stage}/coarse_top{k}", **options)

    def __call__(self, compute: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch, computed by `compute`."""
        dim = check_scores(logits, self.class_dim, "logits")
        check_same_number(self.num_classes, logits.shape[dim])
        if check_target(target, logits, dim, "logits"):
            check_rows(target.movedim(dim, -1).reshape(-1, self.num_classes), self.num_classes)
        self.groups = self.groups.to(logits.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.weight > 0):
            coarse_logits = coarsen_logits(logits, self.groups, self.num_groups, class_dim=dim)
        coarse_target = coarsen_target(
            target, self.groups, self.num_groups, class_dim=dim, ignore_index=self.ignore_index
        )
        self.seen.append(_Seen(logits.detach(), target, coarse_logits.detach(), coarse_target))
        if self.weight == 0:
            return compute(logits, target)
        with _options_for(self.loss, self.num_groups):
            coarse = compute(coarse_logits, coarse_target)
        return coarse if self.weight == 1 else self.weight * coarse + (1 - self.weight) * compute(logits, target)

    def log(self, module: LightningModule, stage: str, dataloader_idx: int, *, quiet: bool) -> None:
        """Count what was seen since the last call in the accuracies of a stage."""
        seen, self.seen = self.seen, []
        for batch in () if quiet else seen:
            # Only now: where the hierarchy does not fit the logits, the loss has said so.
            k = None if self._k is None else check_ks(self._k, self.num_classes)
            coarse_k = None if k is None else tuple(dict.fromkeys(min(value, self.num_groups) for value in k))
            pairs = (batch.logits, batch.target), (batch.coarse_logits, batch.coarse_target)
            for log, ks, pair in zip(self._logs, (k, coarse_k), pairs, strict=True):
                log.update(module, stage, dataloader_idx, ks, *pair)

    def _check(self, attribute: str) -> None:
        groups = self.num_groups
        if groups < 2:
            wanted, remedy = "hold at least 2 groups", "One group leaves nothing to learn."
            raise CallbackError(must("fine_to_coarse", wanted, groups, remedy))
        if isinstance(self.loss, _SEVERAL_LABELS):
            wanted = "be a loss of one right class a row, whose logits may be summed over a group"
            raise CallbackError(must(attribute, wanted, type(self.loss).__name__))
        for name, tensor in _tensors(self.loss):
            if self.num_classes in tensor.shape:
                wanted = f"be left out, since the loss is also computed on {groups} groups"
                remedy = "Balance the classes by sampling instead, such as with torch.utils.data.WeightedRandomSampler."
                actual = f"a tensor of shape {tuple(tensor.shape)}"
                raise CallbackError(must(f"{attribute}.{name}", wanted, actual, remedy))
        if 0 <= self.ignore_index < groups:
            wanted = f"be outside the indices of the groups, [0, {groups})"
            raise CallbackError(must(f"{attribute}.ignore_index", wanted, self.ignore_index, "Use -100."))


def _option(loss: Any, name: str, default: int) -> int:
    """Return an option of a loss, of a torch.nn function with options bound to it, or the default."""
    bound = loss.keywords if isinstance(loss, functools.partial) else {}
    value = bound.get(name, getattr(loss, name, default))
    return default if value is None else int(value)


def _tensors(loss: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(loss, nn.Module):
        yield from loss.named_buffers()
        yield from loss.named_parameters()
    elif isinstance(loss, functools.partial):
        yield from ((name, value) for name, value in loss.keywords.items() if isinstance(value, Tensor))


@contextmanager
def _options_for(loss: Any, num_groups: int) -> Iterator[None]:
    """Within it, k is at most G − 1: the best G of G groups hold every target, so the loss would teach nothing."""
    most = num_groups - 1
    before: dict[str, Any] = {}
    k, chances = getattr(loss, "k", None), getattr(loss, "k_probabilities", None)
    if isinstance(k, int) and k > most:
        before["k"], loss.k = k, most
    if isinstance(chances, tuple) and len(chances) > most:
        before["k_probabilities"], loss.k_probabilities = chances, (*chances[: most - 1], sum(chances[most - 1 :]))
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(loss, name, value)
