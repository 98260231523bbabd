"""LoggerReport: k, temperature, figures and the report of a training in whatever logger it has."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from topk_lightning._checks import InvalidTypeError, UserError, must
from topk_lightning.callbacks._base import Callback
from topk_lightning.callbacks._logger_figures import accuracy_figure, calibration_figure
from topk_lightning.callbacks._logger_files import send_page, send_picture
from topk_lightning.callbacks.training_trace import TrainingTrace
from topk_lightning.drawing import png_of
from topk_lightning.epoch_table import training_curves

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["LoggerReport"]


class LoggerReport(Callback):
    """Send to the trainer's loggers what they do not get by themselves: k, temperature, figures, the report.

    The curves of losses and accuracies are in each logger already, since modules log them. This callback adds, each epoch,
    ``loss.k`` and ``loss.temperature`` of ``module.loss`` where it has them; at the end of the training the figure of the
    epochs (of a :class:`TrainingTrace` beside it), and a report on the test images of the trainer's data module: its page, its
    numbers and two figures. The best checkpoint is tested where the classifier can be built from it, else the module as it
    is. TensorBoard gets pictures and the sentence of the report, W&B pictures and an artifact, every other
    logger files in its folder. Only the first process sends, and only one process writes a report.

    Args:
        report: whether to test and to write the report; False leaves it to :meth:`send_report`.

    Examples:
        >>> from pytorch_lightning import Trainer
        >>> trainer = Trainer(callbacks=[LoggerReport()], logger=False, enable_checkpointing=False)
    """

    def __init__(self, report: bool = True) -> None:
        super().__init__()
        if not isinstance(report, bool):
            raise InvalidTypeError(must("report", "be True or False", repr(report)))
        self.report = report

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log what the loss goes by, but for what an annealing logs itself."""
        loss = getattr(pl_module, "loss", None)
        values = {f"loss.{name}": getattr(loss, name, None) for name in ("k", "temperature")}
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        logged = {*trainer.callback_metrics, *(getattr(callback, "log_name", None) for callback in callbacks)}
        known = {
            name: float(value)
            for name, value in values.items()
            if isinstance(value, int | float) and name not in logged
        }
        if known and trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_metrics({**known, "epoch": trainer.current_epoch}, step=trainer.global_step)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the figure of the epochs, and the report."""
        if not trainer.is_global_zero or not trainer.loggers or getattr(trainer, "fast_dev_run", False):
            return
        traces = [callback for callback in trainer.callbacks if isinstance(callback, TrainingTrace)]  # type: ignore[attr-defined]
        if traces and traces[0].rows:
            self._send_picture(trainer, "training", png_of(training_curves(traces[0].rows)))
        data = getattr(trainer, "datamodule", None)
        if self.report and data is not None and trainer.world_size == 1 and not trainer.interrupted:
            self._write_report(trainer, pl_module, data)

    def send_report(self, trainer: Trainer, page: str | Path) -> None:
        """Send a report that :func:`topk_lightning.write_report` wrote, with the files beside it.

        Args:
            trainer: whose loggers get it.
            page: the .html file.
        """
        page = Path(page)
        beside = page.with_suffix(".json")
        content: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
        for name, figure in (("accuracy", accuracy_figure), ("calibration", calibration_figure)):
            if name in content["sections"]:
                self._send_picture(trainer, f"test/{name}", png_of(figure(content)))
        for logger in trainer.loggers:
            send_page(logger, page, [beside], content["sentence"], trainer.global_step)

    def _send_picture(self, trainer: Trainer, name: str, png: bytes) -> None:
        for logger in trainer.loggers:
            send_picture(logger, name, png, trainer.global_step)

    def _write_report(self, trainer: Trainer, pl_module: LightningModule, data: Any) -> None:
        from topk_lightning.report import write_report

        best = getattr(trainer.checkpoint_callback, "best_model_path", "")
        named = getattr(pl_module, "hparams", {}).get("network")
        can_build = isinstance(named, dict) and "class_path" in named
        page = Path(trainer.log_dir or trainer.default_root_dir) / "report.html"
        try:
            write_report(best if best and can_build else pl_module, data, page)
        except UserError as error:  # the training is done and must not fail for its report
            warnings.warn(f"No report was written. {error}", stacklevel=2)
            return
        self.send_report(trainer, page)
