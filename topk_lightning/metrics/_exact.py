"""What the counting metrics of the library have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

import torch
from torch import Tensor
from torchmetrics import Metric

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.metric_as_loss import metric_as_loss
from topk_lightning.metrics._counting import wide_dtype

__all__ = ["ExactMetric", "without_gradient"]


class ExactMetric(Metric):
    """A metric whose states are sums of counts that keep their precision.

    torchmetrics.MetricCollection takes metrics for one when their states have the same names and, after the first
    batch, the same values. So every subclass puts all its settings into the names of its states.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Count one batch and return its own value."""
        if "reduction" in kwargs:
            raise metric_as_loss(type(self).__name__)
        value = super().forward(*args, **kwargs)
        scores = args[0] if args else kwargs["preds" if "preds" in kwargs else "logits"]
        name = type(self).__name__
        if isinstance(value, dict):
            return {key: without_gradient(one, scores, name) for key, one in value.items()}
        return without_gradient(value, scores, name)

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

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> torch.nn.Module:
        # States move with the module but keep their precision, whatever dtype the module is cast to.
        def move(tensor: Tensor) -> Tensor:
            if not tensor.is_floating_point():
                return fn(tensor)
            device = fn(torch.empty(0, dtype=torch.int64, device=tensor.device)).device
            return tensor.to(device, wide_dtype(device) if tensor.dtype == torch.float64 else tensor.dtype)

        return super()._apply(move, exclude_state)


class _NoGradient(torch.autograd.Function):
    """Carry a value whose backward says why there is none; it holds nothing of the graph that made the scores."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, value: Tensor, metric: str) -> Tensor:
        ctx.metric = metric
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Any:
        raise metric_as_loss(ctx.metric)


def without_gradient(value: Tensor, preds: Tensor, metric: str) -> Tensor:
    """Let `backward` on the value of a metric explain itself, where the scores would have a gradient."""
    if not preds.requires_grad or not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return value
    anchor = torch.empty(0, device=value.device, requires_grad=True)
    return _NoGradient.apply(anchor, value, metric)  # type: ignore[no-any-return]
