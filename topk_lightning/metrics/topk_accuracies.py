"""Several top-k accuracies from one reading of the scores."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import MetricCollection

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.metric_as_loss import metric_as_loss
from topk_lightning._checks.options import check_ks
from topk_lightning.metrics._accuracies import accuracies
from topk_lightning.metrics._all_reduce import is_anywhere, sum_over_processes
from topk_lightning.metrics._counting import Counts
from topk_lightning.metrics._exact import Amounts
from topk_lightning.metrics._from_features import count_features
from topk_lightning.metrics._values_html import values_html
from topk_lightning.metrics.topk_accuracy import TopKAccuracy

__all__ = ["TopKAccuracies"]


class TopKAccuracies(MetricCollection):
    """Count several top-k accuracies at once: the scores are read once, and the counts are kept once.

    ``self.log_dict(collection)`` logs each as an object. The members are :class:`TopKAccuracy`; all hold the same tables,
    until one is reset or merged alone. Several processes join their counts once for all members. Metrics that are added
    later are updated as in any :class:`torchmetrics.MetricCollection`. Put into a larger collection, which takes the
    members out, each reads the scores itself.

    Args:
        k: one or several k; None: those of 1, 3 and 5 up to `num_classes`. Of fewer classes than a k that was not given
            all count as best.
        prefix: text before each key, such as "val/".
        postfix: text after each key.
        num_classes: as in :class:`TopKAccuracy`.
        average: as in :class:`TopKAccuracy`.
        ignore_index: as in :class:`TopKAccuracy`.
        ties: as in :class:`TopKAccuracy`.
        class_dim: as in :class:`TopKAccuracy`.
        **kwargs: passed to :class:`torchmetrics.Metric`.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if an argument is out of range.

    Examples:
        >>> import torch
        >>> metrics = TopKAccuracies(k=(1, 2), prefix="val/")
        >>> metrics.update(torch.eye(4), torch.tensor([0, 1, 2, 0]))
        >>> metrics.compute()
        {'val/top1': tensor(0.7500), 'val/top2': tensor(1.)}
    """

    __jit_unused_properties__: ClassVar[list[str]] = [
        *getattr(MetricCollection, "__jit_unused_properties__", ()),  # none before torchmetrics 1.8
        "compute_groups",
    ]

    def __init__(
        self,
        k: int | Sequence[int] | None = None,
        prefix: str | None = None,
        postfix: str | None = None,
        *,
        num_classes: int | None = None,
        average: str = "micro",
        ignore_index: int | None = None,
        ties: str = "index",
        class_dim: int = 1,
        **kwargs: Any,
    ) -> None:
        ks = check_ks([k for k in (1, 3, 5) if k <= (num_classes or k)] if k is None else k)
        kwargs |= {"average": average, "ignore_index": ignore_index, "ties": ties, "class_dim": class_dim}
        members = {f"top{each}": TopKAccuracy(each, num_classes=num_classes, max_k=max(ks), **kwargs) for each in ks}
        super().__init__(dict(members), prefix=prefix, postfix=postfix, compute_groups=False)
        lead, *others = members.values()
        self.counting = lead.counting = replace(lead.counting, fits=k is not None)
        for member in others:
            member.counting = self.counting
            member.share_with(lead)

    def __repr__(self) -> str:
        members = self._members()
        return f"{type(self).__name__}(k={tuple(member.k for member in members)})" if members else super().__repr__()

    def _repr_html_(self) -> str:
        return values_html(repr(self), self)

    @property
    def update_called(self) -> bool:
        """Whether anything was counted since the last reset."""
        return any(member.update_called for member in self.values())

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Count one batch in every metric."""
        members = self._members()
        with torch.no_grad():
            _add(members, _count(members, args, kwargs))
        for metric in self._others() if len(members) < len(self._modules) else ():
            metric.update(*args, **metric._filter_kwargs(**kwargs))

    def update_from_features(
        self, features: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Count a batch of features and a head of very many classes in every metric, in one pass over the classes.

        See :meth:`TopKAccuracy.update_from_features`; metrics that were added must have that method too.
        """
        batch, others = (features, weight, bias, target, sample_weight), self._others()
        for metric in others:
            if not hasattr(metric, "update_from_features"):
                kind, remedy = type(metric).__name__, "Update it with its scores."
                raise InvalidTypeError(must("metrics", "be TopKAccuracy for a batch of features", kind, remedy))
        members = self._members()
        if members:
            with torch.no_grad():
                _add(members, count_features(self.counting, *batch)._asdict())
        for metric in others:
            metric.update_from_features(*batch)

    @torch.jit.unused
    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Count one batch in every metric and return the batch's own values."""
        if "reduction" in kwargs:
            raise metric_as_loss(type(self).__name__)
        members = self._members()
        if not members or members[0].dist_sync_on_step:
            return super().forward(*args, **kwargs)
        with torch.no_grad():
            amounts = _count(members, args, kwargs)
            tables = members[0].tables_of(amounts)
            values = accuracies(Counts(**tables), [member.k for member in members], members[0].average)
            for member, value in zip(members, values.unbind(), strict=True):
                member.__dict__["_forward_cache"] = value
            _add(members, amounts)
        for metric in self._others():
            metric(*args, **metric._filter_kwargs(**kwargs))
        return {str(name): metric._forward_cache for name, metric in self.items(copy_state=False)}

    def compute(self) -> dict[str, Any]:
        """Return the value of every metric, over all processes."""
        with self._joined():
            return super().compute()

    def reset(self) -> None:
        """Forget everything."""
        super().reset()
        members = self._members()
        for member in members[1:]:
            member.share_with(members[0])

    def merge_state(self, incoming: MetricCollection) -> None:
        """Add what another collection of the same metrics has counted."""
        mine, theirs = list(self.keys(keep_base=True)), list(incoming.keys(keep_base=True))
        if mine != theirs:
            raise InvalidValueError(must("incoming", f"hold the metrics {mine}", theirs))
        for name in mine:
            getattr(self, str(name)).merge_state(getattr(incoming, str(name)))

    def _members(self) -> list[TopKAccuracy]:
        """Return the metrics that count together, which a user may have taken out."""
        metrics, counting = self._modules.values(), self.counting
        return [metric for metric in metrics if metric.__dict__.get("counting") is counting]  # type: ignore[misc]

    def _others(self) -> list[Any]:
        metrics = self._modules.values()
        return [metric for metric in metrics if getattr(metric, "counting", None) is not self.counting]

    @contextmanager
    def _joined(self) -> Iterator[None]:
        """Within it, the members hold the counts of all processes, which one sum has joined."""
        members = [member for member in self._members() if member._to_sync and member.dist_sync_fn is None]
        available = members[0].distributed_available_fn if members else None
        if available is None or not available() or all(member._computed is not None for member in members):
            yield
            return
        state_of = [member.states() for member in members]
        joined = _states_of_all_processes(members)
        try:
            for member, states in zip(members, joined, strict=True):
                member.set_states(states)
                member._to_sync = False
            yield
        finally:
            for member, states in zip(members, state_of, strict=True):
                member.set_states(states)
                member._to_sync = member.sync_on_compute

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> torch.nn.Module:
        members = self._members()
        shared = [member.states() for member in members]
        super()._apply(fn)  # type: ignore[no-untyped-call]
        for member, states in zip(members[1:], shared[1:], strict=True):
            if all(state is shared[0][name] for name, state in states.items()):
                member.share_with(members[0])
        return self


def _count(members: Sequence[TopKAccuracy], args: Any, kwargs: dict[str, Any]) -> Amounts:
    return members[0].count(*args, **(members[0]._filter_kwargs(**kwargs) if kwargs else kwargs)) if members else {}


def _add(members: Sequence[TopKAccuracy], amounts: Amounts) -> None:
    """Add to the states of all members, once where several hold the same."""
    done: list[tuple[list[Tensor], list[Tensor]]] = []
    for member in members:
        inside, names = member.__dict__, member._names.values()
        before = [inside[name] for name in names]
        for of_another, after in done:
            if all(map(operator.is_, before, of_another)):
                inside.update(zip(names, after, strict=True))
                break
        else:
            member.add(amounts)
            done.append((before, [inside[name] for name in names]))
        inside["_computed"] = None
        inside["_update_count"] += 1


def _states_of_all_processes(members: Sequence[TopKAccuracy]) -> list[dict[str, Tensor]]:
    """Return the states of each member, summed over the processes.

    Small tables are sent for each member. Tables of all classes are sent once for the members that hold the same in
    every process, about which the processes agree first.
    """
    states = [member.states() for member in members]
    alone = [True] * len(members)
    group = members[0].process_group
    if members[0].counting.by_class:
        alone = [any(state is not states[0][name] for name, state in state_of.items()) for state_of in states]
        alone = is_anywhere(alone, next(iter(states[0].values())).device, group)
        alone[0] = True
    flat = {
        (index, name): state
        for index, state_of in enumerate(states)
        if alone[index]
        for name, state in state_of.items()
    }
    sums = sum_over_processes(flat, group)
    return [
        {name: sums[index if alone[index] else 0, name] for name in state_of} for index, state_of in enumerate(states)
    ]
