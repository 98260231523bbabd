"""TrainingTrace: the table of epochs, in the terminal, in a file and as a picture."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich

from topk_lightning._checks import must
from topk_lightning._checks.options import check_integer
from topk_lightning._files import write_file
from topk_lightning.callbacks._base import Callback
from topk_lightning.drawing import png_of
from topk_lightning.epoch_table import (
    NotebookPicture,
    check_table_path,
    header_line,
    in_notebook,
    known_columns,
    new_of_training,
    note,
    notebook_table,
    part_of_epoch,
    plain_number,
    row_lines,
    terminal_text,
    training_curves,
    watched_column,
    write_table,
)

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["TrainingTrace"]


class TrainingTrace(Callback):
    """Show one row an epoch: losses, top-k accuracies, temperature, k and learning rate, and a remark on the last.

    The values are those that the module and other callbacks log: a training loss ("train/loss", "train_loss"), a
    validation loss and validation top-k accuracies ("val/top5", "val_top5", "val/coarse_top1"), each where present. The
    temperature and k are those of ``module.loss`` in the last optimizer step of the epoch, and so is the learning rate
    (of the first group of the first optimizer). An epoch without validation shows "-". Remarks: best so far; plateau;
    overfitting, when the training loss improves while the validation loss worsens; a loss that is not finite; "train: rows 33
    to 64 of 64" where training went on within an epoch, whose training numbers cover that part; an epoch that was
    resumed after its last step, which the trainer then does not validate.

    With a path, the table is also written to that file after each epoch, and the curves beside it as PNG, each in one
    move, so that a reader never sees half a file. In a notebook the curves are shown and renewed in place. Only the first
    process shows and writes. A resumed training goes on in the same table; ``fast_dev_run`` writes no file.

    Args:
        path: "<name>.csv" or "<name>.json" for the table, "<name>.png" is the picture; None: no files.
        monitor: logged name that decides which epoch is the best (a name with "loss" counts down, any other up); None:
            the validation accuracy of the largest k, without one the validation loss.
        patience: epochs ≥ 1 without a better one before a plateau or overfitting is remarked.

    Raises:
        ValueError: another kind of file, patience below 1.

    Examples:
        >>> from pytorch_lightning import Trainer
        >>> trace = TrainingTrace()
        >>> trainer = Trainer(callbacks=[trace], logger=False, enable_checkpointing=False)
        >>> trace.rows  # filled by trainer.fit(...)
        []
    """

    def __init__(self, path: str | None = None, monitor: str | None = None, patience: int = 3) -> None:
        super().__init__()
        self.path = None if path is None else check_table_path(path)
        self.monitor = monitor
        self.patience = check_integer("patience", patience)
        #: The table: a dict an epoch with "epoch" (from 1), the logged names, and "note".
        self.rows: list[dict[str, Any]] = []
        self._stage, self._settings, self._validated = "fit", dict[str, Any](), dict[str, Any]()
        self._begin()

    def _begin(self) -> None:
        self._before: dict[str, Any] = {}
        self._logged: dict[str, Any] | None = None
        self._has_validated = self._monitor_checked = self._is_resumed = self._has_begun = False
        self._partial, self._shown = "", 0
        self._shown_columns: list[str] = []
        self._notebook = NotebookPicture()

    @property
    def columns(self) -> list[str]:
        """The logged names in the table, in its order."""
        return self._names(name for row in self.rows for name in row)

    @property
    def picture(self) -> Path | None:
        """Where the curves are written."""
        return None if self.path is None else self.path.with_suffix(".png")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin afresh, or go on where the same trainer stopped; a checkpoint's table comes after this."""
        self._stage = stage
        if stage == "fit":
            self.rows = [row for row in self.rows if row["epoch"] <= trainer.current_epoch]
            self._validated, self._settings = {}, {}
            self._begin()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember what was validated: a checkpoint may be saved before the epoch ends."""
        if not trainer.sanity_checking and self._stage == "fit":
            logged = trainer.callback_metrics
            self._validated = {
                name: plain_number(logged[name]) for name in self._names(logged) if name.startswith("val")
            }
            self._has_validated = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say so where a checkpoint is of the last step of an epoch: the trainer neither validates nor ends that one."""
        self._has_begun = False
        last = max((row["epoch"] for row in self.rows), default=0)
        if self._is_resumed and trainer.current_epoch == last + 1:
            self.rows.append({"epoch": trainer.current_epoch, "note": "resumed after its last step, not validated"})

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Remember which part of its epoch a training sees that goes on within it."""
        if not self._has_begun and batch_idx:
            loader, batches = trainer.train_dataloader, trainer.num_training_batches
            self._partial = part_of_epoch(batch_idx, batches, loader, trainer.world_size)
        self._has_begun = True

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Remember what this step uses: it may be another value by the end of the epoch."""
        loss = getattr(pl_module, "loss", None)
        self._settings = {
            "temperature": getattr(loss, "temperature", None),
            "k": getattr(loss, "k", None),
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
        }

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Complete the row of the epoch before, and remember which values are not of this one."""
        self._complete(trainer)
        self._partial = ""
        self._before = dict(trainer.callback_metrics)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Complete the last row."""
        self._complete(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the row of this epoch."""
        # Reading logged values joins them over the processes, so every process does it.
        logged = dict(trainer.callback_metrics)
        self._check_monitor(trainer, logged)
        values = {**self._settings, **new_of_training(logged, self._before), **self._validated}
        numbers = {name: plain_number(values[name]) for name in self._names(values)}
        row: dict[str, Any] = {"epoch": trainer.current_epoch + 1}
        row |= {name: value for name, value in numbers.items() if value is not None}
        self._validated = {}
        self.rows = [*(old for old in self.rows if old["epoch"] < row["epoch"]), row]
        self._remark()
        self._logged = logged
        if not trainer.is_global_zero:
            return
        if len(self.rows) == 1 and set(self.columns) <= set(self._settings):
            wanted = 'hold a loss or an accuracy that TrainingTrace knows, such as "train/loss" or "val/top5"'
            remedy = "Log them with on_epoch=True."
            warnings.warn(must("logged names", wanted, _names_in_words(logged), remedy), stacklevel=1)
        self._show(trainer)
        self._write(trainer)

    def _repr_html_(self) -> str:
        return notebook_table(self.rows, self.columns, repr(self))

    def state_dict(self) -> dict[str, Any]:
        """Return the table, and what was validated since its last row, for a checkpoint."""
        return {"rows": [dict(row) for row in self.rows], "validated": dict(self._validated)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the table of a checkpoint; a test of it leaves the table as it is."""
        if self._stage == "fit":
            self.rows = [dict(row) for row in state_dict["rows"]]
            self._validated = dict(state_dict["validated"])
            self._is_resumed = True

    def _complete(self, trainer: Trainer) -> None:
        """Add what the module's own on_train_epoch_end logged: the trainer calls it after that of the callbacks."""
        if self._logged is None:
            return
        row, metrics = self.rows[-1], trainer.callback_metrics
        # A value that stands in the row is an object of its own by now, but the same.
        late = {name: value for name, value in new_of_training(metrics, self._logged).items() if name not in row}
        self._logged = None
        # Not under a second name what the row has already: "loss.k" beside "k".
        numbers = {name: plain_number(late[name]) for name in self._names({*row, *late}) if name in late}
        numbers = {name: value for name, value in numbers.items() if value is not None}
        if numbers:
            row |= numbers
            self._remark()
            if trainer.is_global_zero:
                self._write(trainer)

    def _check_monitor(self, trainer: Trainer, logged: dict[str, Any]) -> None:
        """Warn once, after the first validation, if nobody logs the monitored value."""
        if self.monitor is None or self._monitor_checked or (trainer.enable_validation and not self._has_validated):
            return
        self._monitor_checked = True
        if self.monitor not in logged and trainer.is_global_zero:
            wanted = f"be one of the logged metrics ({_names_in_words(logged)})"
            remedy = "Without it no epoch is remarked as the best."
            warnings.warn(must("monitor", wanted, repr(self.monitor), remedy), stacklevel=1)

    def _remark(self) -> None:
        remark = note(self.rows, self.monitor or watched_column(self.columns), self.patience)
        self.rows[-1]["note"] = "; ".join(filter(None, (self._partial, remark)))

    def _names(self, logged: Iterable[str]) -> list[str]:
        """Return the names that belong into the table, in its order, with the monitored one whatever it is called."""
        names = set(logged)
        known = known_columns(names)
        return known + [name for name in (self.monitor,) if name in names and name not in known]

    def _show(self, trainer: Trainer) -> None:
        columns, console = self.columns, rich.get_console()
        lines = [] if columns == self._shown_columns else [header_line(columns, console.width)]
        lines += [row_lines(row, columns, console.width) for row in self.rows[self._shown :]]
        self._shown, self._shown_columns = len(self.rows), columns
        # A progress bar knows how to print above itself, be it rich's or tqdm's. It gets text of one line at a time:
        # in a notebook, rich's would show several lines without end.
        bar = trainer.progress_bar_callback
        write = bar.print if bar is not None and getattr(bar, "is_enabled", True) else trainer.print
        for line in terminal_text(lines, console).splitlines():
            write(line)

    def _write(self, trainer: Trainer) -> None:
        if getattr(trainer, "fast_dev_run", False) or (self.path is None and not in_notebook()):
            return
        picture = png_of(training_curves(self.rows))
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_table(self.path, self.rows, self.columns)
            write_file(self.path.with_suffix(".png"), picture)
        if in_notebook():
            self._notebook.show(picture)


def _names_in_words(logged: Iterable[str]) -> str:
    return ", ".join(sorted(logged)) or "none"
