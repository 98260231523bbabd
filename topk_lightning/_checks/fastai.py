"""Checks of the integration with fastai."""

from __future__ import annotations

from collections.abc import Iterable

from topk_lightning._checks import InvalidValueError, MissingPackageError, must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning._checks.callbacks_annealing import check_attribute

__all__ = ["check_learner_attribute", "missing_fastai", "not_recorded"]


def check_learner_attribute(attribute: object) -> str:
    """Return a dotted path into the loss or the model of a Learner, such as "loss_func.temperature"."""
    path = check_attribute(attribute)
    part, _, rest = path.partition(".")
    if part in ("loss_func", "model") and rest:
        return path
    remedy = f"Did you mean {'loss_func.' + rest!r}?" if part == "loss" and rest else ""
    raise InvalidValueError(must("attribute", 'begin with "loss_func." or "model."', repr(path), remedy))


def not_recorded(monitor: str, existing: Iterable[str]) -> CallbackError:
    """Return the error for a monitor that is no column of the Learner's recorder."""
    names = ", ".join(existing) or "none"
    remedy = "Add the metric to the metrics of the Learner."
    return CallbackError(must("monitor", f"be one of the recorded values ({names})", repr(monitor), remedy))


def missing_fastai() -> ModuleNotFoundError:
    """Return the error for `topk_lightning.integrations.fastai` where fastai is not installed."""
    return MissingPackageError(
        must(
            "topk_lightning.integrations.fastai",
            "be imported where the package fastai is installed",
            "an environment without it",
            'Install it with: pip install "topk-lightning[fastai]".',
        )
    )
