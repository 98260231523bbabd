"""What the counting metrics of the library have in common."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.distributed import gather_all_tensors

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.metric_as_loss import metric_as_loss, refuse_learner
from topk_lightning._repr import described
from topk_lightning.metrics._all_reduce import sum_over_processes
from topk_lightning.metrics._counting import Rows, wide_dtype
from topk_lightning.metrics._values_html import values_html

__all__ = ["ExactMetric"]

#: What a batch adds to the states: to a table as a whole, or to some of its rows; None: nothing.
Amounts = Mapping[str, Tensor | Rows | None]


class ExactMetric(Metric):
    """A metric whose states are sums of counts that keep their precision.

    torchmetrics.MetricCollection takes metrics for one when their states have the same names and, after the first
    batch, the same values. So every subclass names all its settings to :meth:`add_counts`, which writes them into the
    names of its states.

    A subclass says what one batch counts (:meth:`count`) and what the value of counts is (:meth:`value_of`). Where it
    only has ``update`` and ``compute``, those of torchmetrics are used.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound: float | None = 0.0
    plot_upper_bound: float | None = 1.0
    #: Asks fastai's MixUp to leave the target as it is, so that it comes as far as the sentence about losses.
    y_int = True

    def __repr__(self) -> str:
        return described(self, without=["max_k"] if getattr(self, "max_k", None) == getattr(self, "k", None) else [])

    def _repr_html_(self) -> str:
        return values_html(repr(self), self)

    def add_counts(self, settings: Mapping[str, object], **tables: Tensor | list[Tensor]) -> None:
        """Add a state for each table, or for a list of tensors, under a name that holds the settings."""
        words = "_".join(f"{name}{value}" for name, value in settings.items())
        key = f"{type(self).__name__}_{words}".replace("-", "minus").replace(" ", "").replace(".", "point")
        self._names = {name: f"{name}_{key}" for name in tables}
        for name, table in tables.items():
            self.add_state(self._names[name], table, dist_reduce_fx="sum" if isinstance(table, Tensor) else "cat")

    def state(self, name: str) -> Any:
        """Return what was counted under one of the names given to :meth:`add_counts`, in this process."""
        return getattr(self, self._names[name])

    def states(self) -> dict[str, Any]:
        """Return all that was counted in this process, by name."""
        return {name: getattr(self, state) for name, state in self._names.items()}

    def set_states(self, states: Mapping[str, Tensor | list[Tensor]]) -> None:
        """Replace what was counted, by name."""
        self.__dict__.update({self._names[name]: state for name, state in states.items()})

    def add(self, amounts: Amounts) -> None:
        """Add what a batch counted; a table as a whole is never changed in place."""
        # Not by setattr, by which a module looks for parameters and modules first.
        states, names = self.__dict__, self._names
        for name, amount in amounts.items():
            if amount is not None:
                state = states[names[name]]
                states[names[name]] = amount.added_to(state) if isinstance(amount, Rows) else state + amount

    def count(self, *args: Any, **kwargs: Any) -> Amounts:
        """Check a batch and return what it adds to the states."""
        raise NotImplementedError

    def value_of(self, states: Mapping[str, Any]) -> Any:
        """Return the value of such states."""
        raise NotImplementedError

    @torch.jit.unused
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Count one batch and return its own value, which carries no gradient."""
        if "reduction" in kwargs:
            raise metric_as_loss(type(self).__name__)
        refuse_learner(type(self).__name__, as_metric=True)
        if self.dist_sync_on_step or self._is_synced or type(self).count is ExactMetric.count:
            return super().forward(*args, **kwargs)
        with torch.no_grad():
            amounts = self.count(*args, **kwargs)
            self._forward_cache = self.value_of(self.tables_of(amounts))
            self.add(amounts)
        self._computed = None
        self._update_count += 1
        return self._forward_cache

    def _wrap_update(self, update: Callable[..., None]) -> Callable[..., None]:
        # What torchmetrics does around each update, without its two assignments by setattr.
        wrap = super()._wrap_update
        with_setattr = wrap(update)

        @functools.wraps(update)
        def counted(*args: Any, **kwargs: Any) -> None:
            states = self.__dict__
            if states["compute_on_cpu"]:
                with_setattr(*args, **kwargs)
                return
            states["_computed"] = None
            states["_update_count"] += 1
            try:
                with torch.set_grad_enabled(states["_enable_grad"]):
                    update(*args, **kwargs)
            except RuntimeError as error:
                states["_update_count"] -= 1
                wrap(functools.partial(_raise, error))()  # says more about some; the batch is not counted again

        return counted

    def tables_of(self, amounts: Amounts) -> dict[str, Tensor]:
        """Return the states of a batch alone."""
        tables = {}
        for name, amount in amounts.items():
            empty = cast(Tensor, self._defaults[self._names[name]])
            if isinstance(amount, Rows):
                amount = amount.added_to(torch.zeros_like(empty))
            tables[name] = empty if amount is None else amount
        return tables

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw the value, or values given, as every metric of torchmetrics does."""
        return self._plot(val, ax)

    def synced(self) -> AbstractContextManager[None]:
        """Return a context in which the states are those of all processes together; every process has to enter it."""
        should_sync = self.sync_on_compute and not self._is_synced
        context = self.sync_context(self.dist_sync_fn, should_sync=should_sync, should_unsync=should_sync)
        return cast(AbstractContextManager[None], context)

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Add what another metric of the same settings, or its `metric_state`, has counted."""
        updates, state = 1, incoming_state
        if isinstance(incoming_state, Metric):
            updates, state = incoming_state.update_count, incoming_state.metric_state
        if not isinstance(state, dict) or set(state) != set(self._defaults):
            requirement = f"come from a {type(self).__name__} of the same settings ({next(iter(self._defaults))})"
            actual = ", ".join(state) if isinstance(state, dict) else type(state).__name__
            raise InvalidValueError(must("incoming_state", requirement, actual))
        for name, counted in state.items():
            setattr(self, name, getattr(self, name) + counted)
        self._computed = None
        self._update_count += updates

    def _copy_state_dict(self) -> dict[str, Any]:
        # torchmetrics keeps a copy while it counts a batch alone or joins processes; no state is changed in place there.
        return {name: state if isinstance(state, Tensor) else list(state) for name, state in self.metric_state.items()}

    def _sync_dist(
        self, dist_sync_fn: Callable[..., Any] = gather_all_tensors, process_group: Any | None = None
    ) -> None:
        # One sum a dtype instead of a gathering of each state, whose shapes are the same in every process.
        if dist_sync_fn is not gather_all_tensors:
            super()._sync_dist(dist_sync_fn, process_group)
            return
        group, states = process_group or self.process_group, self.metric_state
        joined = sum_over_processes({name: state for name, state in states.items() if isinstance(state, Tensor)}, group)
        for name, state in states.items():
            if not isinstance(state, Tensor):
                joined[name] = torch.cat(gather_all_tensors(torch.cat(state), group))
        self.__dict__.update(joined)

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> torch.nn.Module:
        # States move with the module but keep their precision, whatever dtype the module is cast to.
        def move(tensor: Tensor) -> Tensor:
            device = fn(torch.empty(0, dtype=torch.int64, device=tensor.device)).device
            return tensor.to(device, wide_dtype(device) if tensor.dtype == torch.float64 else tensor.dtype)

        return super()._apply(move, exclude_state)


def _raise(error: Exception) -> None:
    raise error
