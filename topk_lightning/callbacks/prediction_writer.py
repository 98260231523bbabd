"""TopKPredictionWriter: the predictions of trainer.predict in a file, written as they come."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning._checks.class_names import check_class_names
from topk_lightning._checks.options import check_choice, check_integer
from topk_lightning.callbacks._base import Callback
from topk_lightning.callbacks._errors import describe
from topk_lightning.callbacks._image_names import images_of_batch
from topk_lightning.callbacks._prediction_files import (
    SUFFIXES,
    PredictionFile,
    cells_of,
    check_format,
    join_parts,
    part_path,
)
from topk_lightning.callbacks._topk_log import loader_at, sampler_of
from topk_lightning.data import rows_seen_once
from topk_lightning.decisions import PredictionSets, ReviewPlan
from topk_lightning.networks.outputs import are_probabilities
from topk_lightning.prediction import Answer, Decider, Fitted, TopKPrediction, promised_sets

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["TopKPredictionWriter"]

_COLUMNS = ("image", "rank", "class", "probability")


class TopKPredictionWriter(Callback):
    """Write the k best classes of each image that ``trainer.predict`` sees to a file, as they come.

    k rows an image: image, rank (1 is the best), class, probability, and dataloader where there are several. The image is
    its path where the batch is (images, paths) or a dict with "path", or where the data set keeps names (``samples`` of
    ours and of torchvision's folders, ``paths``); otherwise its index in the data set.

    Each process writes its own file, ``predictions.rank0.csv`` beside ``predictions.csv``, one write a batch: a killed run
    leaves the rows of all batches up to then. At the end the first process joins them in the order of the processes; so
    ``predictions.csv`` is there if and only if the run came to its end. Memory does not grow with the number of images:
    ``trainer.predict`` returns nothing, unless `keep_predictions`. Parquet is written when the files are joined.

    ``predict_step`` may return logits (N, C), a dict with "logits" or "probabilities", or what
    :func:`topk_lightning.topk_predictions` returns, as TopKClassifier does. Rows that a distributed sampler repeats are
    left out.

    Args:
        path: ends in .csv, .jsonl or .parquet (which needs pyarrow); a file of this name is replaced.
        k: how many classes, 1 ≤ k ≤ C.
        class_names: a list, {index: name} or {name: index}; None: ``class_names`` of the module or the data module, or
            the indices.
        input: what a tensor that predict_step returns holds: "logits" or "probabilities".
        keep_predictions: let ``trainer.predict`` return the predictions too; memory then grows.
        spreadsheet_safe: put an apostrophe before a text of a csv file that a spreadsheet would take for a formula.
        coverage: write prediction sets instead of the k best: as few classes as possible, the right one among them with this
            probability. An image whose set is empty has one row, of rank 0 and without a class.
        sets: fitted :class:`topk_lightning.PredictionSets`; None: with `coverage`, those that the module was loaded with.
        plan: a :class:`topk_lightning.decisions.ReviewPlan`, which adds the column pile: "accept", "list" or "person"; None:
            that which the module was loaded with, where it has one.

    Raises:
        ModuleNotFoundError: parquet without pyarrow.
        ValueError: another kind of file, k < 1; at the first batch, outputs that are no predictions, or k > C.

    Examples:
        >>> from pytorch_lightning import Trainer
        >>> writer = TopKPredictionWriter("predictions.csv", k=3)
        >>> trainer = Trainer(callbacks=[writer], logger=False, enable_checkpointing=False)
    """

    def __init__(
        self,
        path: str | Path,
        k: int = 5,
        class_names: list[str] | dict[int, str] | dict[str, int] | None = None,
        input: Literal["logits", "probabilities"] = "logits",  # noqa: A002
        keep_predictions: bool = False,
        spreadsheet_safe: bool = False,
        coverage: float | None = None,
        sets: PredictionSets | None = None,
        plan: ReviewPlan | None = None,
    ) -> None:
        super().__init__()
        self.path = _check_path(path)
        check_format(self.path)
        self.k = check_integer("k", k)
        self.class_names = None if class_names is None else check_class_names(class_names)
        self.input = check_choice("input", input, ("logits", "probabilities"))
        self.keep_predictions = keep_predictions
        self.spreadsheet_safe = spreadsheet_safe
        self.coverage, self.sets, self.plan = coverage, sets, plan
        self._decide = Decider()
        self._module: Any = None
        self._file: PredictionFile | None = None
        self._names: Sequence[str] | None = None
        self._rows_seen: dict[int, int] = {}

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the file of this process."""
        for other in trainer.callbacks:  # type: ignore[attr-defined]
            is_other = isinstance(other, TopKPredictionWriter) and other is not self
            if is_other and part_path(other.path, 0) == part_path(self.path, 0):
                wanted = "have a name of its own before the ending for each TopKPredictionWriter"
                raise CallbackError(must("path", wanted, f"{str(self.path)!r} and {str(other.path)!r}"))
        if not self.keep_predictions:
            trainer.predict_loop.return_predictions = False
        names = self.class_names or getattr(pl_module, "class_names", None)
        names = names or getattr(getattr(trainer, "datamodule", None), "class_names", None)
        self._names = None if names is None else check_class_names(names)
        self._decide = self._asked(pl_module)
        if trainer.is_global_zero:
            self.path.unlink(missing_ok=True)
        columns = _COLUMNS if self._decide.plan is None else (*_COLUMNS, "pile")
        columns = columns if len(trainer.num_predict_batches) == 1 else (*columns, "dataloader")
        self._file, self._rows_seen = PredictionFile(self.path, trainer.global_rank, columns, self.spreadsheet_safe), {}

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the rows of a batch."""
        if self._file is None:
            return
        rows = self._answers(outputs)
        loader = loader_at(trainer.predict_dataloaders, dataloader_idx)
        seen = self._rows_seen.get(dataloader_idx, 0)
        images = images_of_batch(loader, batch, batch_idx, len(rows), seen, trainer.world_size)
        if len(images) != len(rows):
            wanted = f"return a row for each of the {len(images)} images of the batch"
            raise CallbackError(must("predict_step", wanted, len(rows)))
        self._rows_seen[dataloader_idx] = seen + len(rows)
        once = rows_seen_once(sampler_of(loader), seen, len(rows))
        more = (dataloader_idx,) if "dataloader" in self._file.columns else ()
        self._file.write(
            (image, *cells, *(() if answer.pile is None else (answer.pile,)), *more)
            for image, answer in zip(images[:once], rows, strict=False)
            for cells in cells_of(answer.predictions)
        )

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Join the files of all processes."""
        self._close()
        trainer.strategy.barrier("predictions are written")
        if trainer.is_global_zero:
            join_parts(self.path, trainer.world_size)
        trainer.strategy.barrier("predictions are joined")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the file; its rows stay."""
        self._close()

    def _close(self) -> None:
        if self._module is not None:
            self._module.shown = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _asked(self, module: Any) -> Decider:
        """Return what is asked for beyond the k best, and let predict_step of TopKClassifier answer it."""
        fitted = getattr(module, "fitted", Fitted())
        promised = self.coverage is not None or self.sets is not None
        sets = promised_sets(self.sets or fitted.sets, self.coverage) if promised else None
        # What was fitted for a list of classes says nothing of all of them.
        plan = fitted.plan if self.plan is None and "plan" not in fitted.classes else self.plan
        decide = Decider(self._names, self.k, sets=sets, plan=plan)
        if hasattr(module, "shown") and (sets is not None or plan is not None):
            self._module, module.shown = module, decide
        return decide

    def _answers(self, outputs: Any) -> list[Answer]:
        """Return the answer to each row of what predict_step returned."""
        kind = self.input
        if isinstance(outputs, Mapping):
            kind = "logits" if "logits" in outputs else "probabilities"
            outputs = outputs.get(kind)
        if isinstance(outputs, Tensor) and outputs.ndim == 2:
            if kind == "logits" and not self._rows_seen and are_probabilities(outputs):
                wanted = 'return logits where input is "logits"'
                remedy = 'Say input="probabilities", or fix predict_step.'
                warnings.warn(must("predict_step", wanted, "rows of probabilities", remedy), stacklevel=1)
            return self._decide(outputs, kind=kind)
        if isinstance(outputs, list) and all(isinstance(each, Answer) for each in outputs):
            return outputs
        if self._decide.sets is not None or self._decide.plan is not None:
            what = "sets are made" if self._decide.plan is None else "piles are made"
            wanted = f"return logits or probabilities (N, C), of which {what}"
            raise CallbackError(must("predict_step", wanted, describe(outputs)))
        if not isinstance(outputs, list) or not all(_is_row(row) for row in outputs):
            wanted = 'return logits (N, C), a dict with "logits" or "probabilities", or what topk_predictions returns'
            raise CallbackError(must("predict_step", wanted, describe(outputs)))
        fewest = min((len(row) for row in outputs), default=self.k)
        if fewest < self.k:
            wanted, actual = "be at most the number of predictions a row", f"{self.k} for rows of {fewest}"
            raise CallbackError(must("k", wanted, actual, f"Use k={fewest}, or let predict_step return logits."))
        names = self.class_names
        rows = [tuple(each if names is None else _renamed(each, names) for each in row[: self.k]) for row in outputs]
        return [Answer(row) for row in rows]


def _check_path(path: object) -> Path:
    """Return the path of a file of predictions."""
    if not isinstance(path, str | Path):
        raise InvalidTypeError(must("path", "be a text or a Path", type(path).__name__))
    if Path(path).suffix not in SUFFIXES:
        raise InvalidValueError(must("path", "end in " + ", ".join(SUFFIXES), repr(str(path))))
    return Path(path)


def _is_row(row: Any) -> bool:
    return isinstance(row, tuple) and all(isinstance(each, TopKPrediction) for each in row)


def _renamed(each: TopKPrediction, names: Sequence[str]) -> TopKPrediction:
    return TopKPrediction(names[each.index], each.index, each.probability)
