"""The errors for something that counts or ranks where a loss belongs."""

from __future__ import annotations

import functools
import sys
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, must

__all__ = ["check_differentiable", "metric_as_loss", "ranking_as_loss", "refuse_learner", "refuse_metric"]

_REMEDY = "Train with torch.nn.CrossEntropyLoss or topk_lightning.SmoothTopKSVMLoss and keep the metric to measure."


def metric_as_loss(metric: str) -> TypeError:
    """Return the error that says why a metric has no gradient and what to use instead."""
    return _as_loss(f"{metric}, which counts hits: a count")


def ranking_as_loss(function: str) -> TypeError:
    """Return the same for a function that returns ranks, or the best classes."""
    return _as_loss(f"{function}, which ranks classes: a rank")


def refuse_metric(loss: Any) -> None:
    """Raise if `loss` is a metric or a ranking, its class, or one with bound arguments."""
    while isinstance(loss, functools.partial):
        loss = loss.func
    kind = loss if isinstance(loss, type) else type(loss)
    name, home = getattr(loss, "__name__", kind.__name__), getattr(loss, "__module__", "") or ""
    counts = any(base.__module__.startswith(("torchmetrics.", "topk_lightning.metrics")) for base in kind.__mro__)
    if counts or home.startswith(("topk_lightning.metrics", "torchmetrics.")):
        raise metric_as_loss(name)
    if home.startswith(("topk_lightning.ranking", "topk_lightning.prediction")):
        raise ranking_as_loss(name)


def refuse_learner(metric: str, *, as_metric: bool) -> None:
    """Raise if fastai's Learner is about to take the value of `metric` for a loss, or with `as_metric` for a batch's mean.

    A value has no gradient and so does not show what becomes of it: who called does.
    """
    if "fastai.learner" not in sys.modules or torch.compiler.is_compiling():
        return
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(("topk_lightning.", "torch.")):
        frame = frame.f_back
    caller = frame.f_globals.get("__name__"), frame.f_code.co_name
    if caller == ("fastai.learner", "_do_one_batch"):
        raise metric_as_loss(metric)
    if as_metric and caller == ("fastai.learner", "accumulate"):
        remedy = f"Did you mean topk_lightning.integrations.fastai.{metric}?"
        raise InvalidTypeError(must("metrics", "hold metrics of fastai", f"topk_lightning.{metric}", remedy))


def check_differentiable(loss: Tensor, logits: Tensor) -> None:
    """Raise if the value of a loss has no gradient though the logits have one: a metric in a function of the user."""
    if logits.requires_grad and not loss.requires_grad:
        raise _as_loss("a value that was counted, ranked or detached: it")


def _as_loss(what: str) -> TypeError:
    actual = f"{what} does not change with a small step of the logits, so it has no gradient"
    return InvalidTypeError(must("loss", "be differentiable", actual, _REMEDY))
