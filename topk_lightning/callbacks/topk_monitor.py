"""TopKMonitor: top-k accuracy of any LightningModule, which stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning._checks.metric_as_loss import refuse_metric
from topk_lightning._checks.options import check_choice, check_ks
from topk_lightning.callbacks._base import Callback
from topk_lightning.callbacks._errors import describe
from topk_lightning.callbacks._topk_log import TopKLog, loader_at, sampler_of
from topk_lightning.data import rows_seen_once

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["TopKMonitor"]

_STAGES = ("train", "val", "test")
_Pair = tuple[Tensor, Tensor]


class TopKMonitor(Callback):
    """Log the top-k accuracy of any LightningModule, which stays as it is.

    Logits and target come from the first of these that has them:

    1. the function `read`;
    2. what the step returns: a dict with "logits" (or "preds") and "target"; a target that is missing there is the second
       part of the batch, or its "target";
    3. the module itself, called with the first part of a batch (input, target): without gradient, in evaluation mode, in
       the precision of the trainer. Modes, running statistics and random numbers of the training are as if it had not
       happened. It costs a forward pass a batch: return a dict from the step to save it.

    In the stage "train" the module is called before the step changes its weights; in the first batch also where the step
    then turns out to return logits.

    Each epoch logs ``<stage>/top<k>``, with several dataloaders ``<stage>/top<k>/dataloader_idx_<i>``. Under several
    processes hits and rows are summed before they are divided, and rows that a distributed sampler repeats count once in
    "val" and "test".

    Args:
        k: how many classes count as best, 1 ≤ k ≤ C; or several k; None: 1 and min(5, C).
        stages: which of "train", "val" and "test".
        class_dim: the class dimension of the logits, -1 for (N, T, C) sequences.
        ignore_index: rows with this label are left out.
        read: function of (outputs of the step, batch) that returns (logits, target).
        name: pattern of the logged names, with {stage} and {k}.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: an argument out of range; in the first batch, a module that cannot be read, or k > C.

    Examples:
        >>> from pytorch_lightning import Trainer
        >>> trainer = Trainer(callbacks=TopKMonitor(k=(1, 5)), logger=False, enable_checkpointing=False)
    """

    def __init__(
        self,
        k: int | list[int] | tuple[int, ...] | None = None,
        stages: str | list[str] | tuple[str, ...] = ("val",),
        class_dim: int = 1,
        ignore_index: int | None = None,
        read: Callable[[Any, Any], tuple[Tensor, Tensor]] | None = None,
        name: str = "{stage}/top{k}",
    ) -> None:
        super().__init__()
        self.k = None if k is None else check_ks(k)
        self.stages = _check_stages(stages)
        self.read = read
        self.name = _check_log_name(name)
        self._log = TopKLog(name, class_dim=class_dim, ignore_index=ignore_index)
        self._rows_seen: dict[int, int] = {}
        self._step_returns_logits = False
        self._before_step: _Pair | Exception | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin afresh; a module that trains on a metric is told so."""
        refuse_metric(getattr(pl_module, "loss", None))
        self._log.reset()
        self._step_returns_logits, self._before_step = False, None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Call the module while it has the weights of this step, unless its step returns logits."""
        if "train" not in self.stages or self.read is not None or self._step_returns_logits:
            return
        try:
            self._before_step = self._from_module(trainer, pl_module, batch)
        except Exception as error:  # of any module whatever; raised below, unless the step returns logits
            self._before_step = error

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a batch."""
        if "train" not in self.stages:
            return
        pair = self._from_outputs(outputs, batch)
        before, self._before_step = self._before_step, None
        self._step_returns_logits |= pair is not None
        if pair is None and not self._step_returns_logits:
            if not isinstance(before, tuple):
                raise _unreadable_module("training_step", outputs, batch, str(before)) from before
            pair = before
        if pair is not None:  # otherwise this one step was skipped
            self._log.update(pl_module, "train", 0, self.k, *pair)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the rows from 0."""
        self._rows_seen = {}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch."""
        stage, step, loaders = "val", "validation_step", trainer.val_dataloaders
        if trainer.testing:
            stage, step, loaders = "test", "test_step", trainer.test_dataloaders
        if stage not in self.stages:
            return
        pair = self._from_outputs(outputs, batch)
        if pair is None:
            try:
                pair = self._from_module(trainer, pl_module, batch)
            except Exception as error:
                raise _unreadable_module(step, outputs, batch, str(error)) from error
        logits, target = pair
        seen = self._rows_seen.get(dataloader_idx, 0)
        once = rows_seen_once(sampler_of(loader_at(loaders, dataloader_idx)), seen, len(logits))
        self._rows_seen[dataloader_idx] = seen + len(logits)
        self._log.update(pl_module, stage, dataloader_idx, self.k, logits[:once], target[:once])

    on_test_epoch_start, on_test_batch_end = on_validation_epoch_start, on_validation_batch_end

    def _from_outputs(self, outputs: Any, batch: Any) -> _Pair | None:
        if self.read is not None:
            return _check_read_result(self.read(outputs, batch))
        if not isinstance(outputs, Mapping):
            return None
        logits = outputs.get("logits", outputs.get("preds"))
        target = outputs.get("target", _target_of(batch))
        return (logits, target) if isinstance(logits, Tensor) and isinstance(target, Tensor) else None

    def _from_module(self, trainer: Trainer, module: LightningModule, batch: Any) -> _Pair:
        target = _target_of(batch)
        if not isinstance(batch, tuple | list) or not isinstance(target, Tensor):
            raise TypeError("the batch is no pair")
        with undisturbed(module), trainer.precision_plugin.forward_context():
            logits = module(batch[0])
        if not isinstance(logits, Tensor) or logits.ndim < 2:
            raise TypeError("the module returns no logits")
        return logits, target


def _target_of(batch: Any) -> Any:
    if isinstance(batch, Mapping):
        return batch.get("target")
    return batch[1] if isinstance(batch, tuple | list) and len(batch) == 2 else None


@contextmanager
def undisturbed(module: LightningModule) -> Iterator[None]:
    """Within it, the module may be called without a trace: no gradient, no running statistics, no random numbers."""
    modes = [(part, part.training) for part in module.modules()]
    devices = [module.device] if module.device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices=devices):
        try:
            # Set rather than .eval(): what a module does in its own train() is not ours to call.
            for part, _ in modes:
                part.training = False
            yield
        finally:
            for part, mode in modes:
                part.training = mode


def _check_stages(stages: str | Iterable[str]) -> tuple[str, ...]:
    """Return one or several stages as a non-empty tuple."""
    names = tuple(check_choice("stages", stage, _STAGES) for stage in ([stages] if isinstance(stages, str) else stages))
    if not names:
        raise InvalidValueError(must("stages", "name at least one of 'train', 'val', 'test'", "none"))
    return names


def _check_log_name(name: str) -> str:
    """Return the pattern of logged names, which has a place for the stage and for k."""
    if not isinstance(name, str):
        raise InvalidTypeError(must("name", "be a text", type(name).__name__))
    try:
        distinct = {name.format(stage=stage, k=k) for stage in ("train", "val") for k in (1, 2)}
    except (IndexError, KeyError, ValueError):
        distinct = set()
    if len(distinct) != 4:
        raise InvalidValueError(must("name", "hold {stage} and {k} and nothing else in braces", repr(name)))
    return name


def _check_read_result(result: Any) -> tuple[Tensor, Tensor]:
    """Return what the user's function read: logits and target."""
    if isinstance(result, tuple | list) and len(result) == 2 and all(isinstance(part, Tensor) for part in result):
        return result[0], result[1]
    raise CallbackError(must("read", "return two tensors, logits and target", describe(result)))


def _unreadable_module(step: str, outputs: Any, batch: Any, reason: str) -> CallbackError:
    """Return the error for a module whose logits cannot be found, with both ways to make it work."""
    return CallbackError(
        must(
            step,
            "return logits and target, or the batch be a pair (input, target) and the module return logits for input",
            f"{describe(outputs)} returned for {describe(batch)} ({reason})",
            f'Either end {step} with return {{"loss": loss, "logits": logits, "target": target}}, or pass '
            'TopKMonitor(read=lambda outputs, batch: (outputs["my_logits"], batch["my_target"])).',
        )
    )
