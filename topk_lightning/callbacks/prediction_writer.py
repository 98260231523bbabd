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
from topk_lightning.decisions import PredictionSets
from topk_lightning.networks.outputs import are_probabilities
from topk_lightning.prediction import TopKPrediction, promised_sets, topk_predictions

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
    ) -> None:
        super().__init__()
        self.path = _check_path(path)
        check_format(self.path)
        self.k = check_integer("k", k)
        self.class_names = None if class_names is None else check_class_names(class_names)
        self.input = check_choice("input", input, ("logits", "probabilities"))
        self.keep_predictions = keep_predictions
        self.spreadsheet_safe = spreadsheet_safe
        self.coverage, self.sets = coverage, sets
        self._shown: PredictionSets | None = None
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
        sets: Any = self.sets or getattr(pl_module, "prediction_sets", None)
        promised = self.coverage is not None or self.sets is not None
        self._shown = promised_sets(sets, self.coverage) if promised else None
        if hasattr(pl_module, "shown_sets"):  # what predict_step of TopKClassifier shows
            self._module, pl_module.shown_sets = pl_module, self._shown  # type: ignore[assignment]
        names = self.class_names or getattr(pl_module, "class_names", None)
        names = names or getattr(getattr(trainer, "datamodule", None), "class_names", None)
        self._names = None if names is None else check_class_names(names)
        if trainer.is_global_zero:
            self.path.unlink(missing_ok=True)
        columns = _COLUMNS if len(trainer.num_predict_batches) == 1 else (*_COLUMNS, "dataloader")
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
        rows = self._predictions(outputs)
        loader = loader_at(trainer.predict_dataloaders, dataloader_idx)
        seen = self._rows_seen.get(dataloader_idx, 0)
        images = _images(loader, batch, batch_idx, len(rows), seen, trainer.world_size)
        if len(images) != len(rows):
            wanted = f"return a row for each of the {len(images)} images of the batch"
            raise CallbackError(must("predict_step", wanted, len(rows)))
        self._rows_seen[dataloader_idx] = seen + len(rows)
        once = rows_seen_once(sampler_of(loader), seen, len(rows))
        more = (dataloader_idx,) if len(self._file.columns) > len(_COLUMNS) else ()
        self._file.write(
            (image, *cells, *more) for image, row in zip(images[:once], rows, strict=False) for cells in cells_of(row)
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
            self._module.shown_sets = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _predictions(self, outputs: Any) -> list[tuple[TopKPrediction, ...]]:
        """Return k predictions for each row of what predict_step returned."""
        kind = self.input
        if isinstance(outputs, Mapping):
            kind = "logits" if "logits" in outputs else "probabilities"
            outputs = outputs.get(kind)
        if isinstance(outputs, Tensor) and outputs.ndim == 2 and self._shown is not None:
            return self._shown.predict(outputs, self._names, kind=kind)
        if isinstance(outputs, Tensor) and outputs.ndim == 2:
            if kind == "logits" and not self._rows_seen and are_probabilities(outputs):
                wanted = 'return logits where input is "logits"'
                remedy = 'Say input="probabilities", or fix predict_step.'
                warnings.warn(must("predict_step", wanted, "rows of probabilities", remedy), stacklevel=1)
            return list(topk_predictions(outputs, self._names, self.k, input=kind))  # type: ignore[arg-type]
        if self._shown is not None and self._module is None:
            wanted = "return logits or probabilities (N, C), of which sets are made"
            raise CallbackError(must("predict_step", wanted, describe(outputs)))
        if not isinstance(outputs, list) or not all(_is_row(row) for row in outputs):
            wanted = 'return logits (N, C), a dict with "logits" or "probabilities", or what topk_predictions returns'
            raise CallbackError(must("predict_step", wanted, describe(outputs)))
        if self._shown is not None:
            return outputs
        fewest = min((len(row) for row in outputs), default=self.k)
        if fewest < self.k:
            wanted, actual = "be at most the number of predictions a row", f"{self.k} for rows of {fewest}"
            raise CallbackError(must("k", wanted, actual, f"Use k={fewest}, or let predict_step return logits."))
        names = self.class_names
        return [tuple(each if names is None else _renamed(each, names) for each in row[: self.k]) for row in outputs]


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


def _images(loader: Any, batch: Any, batch_idx: int, rows: int, seen: int, world_size: int) -> list[Any]:
    """Return the path or the index of each image of a batch."""
    paths = batch.get("path") if isinstance(batch, Mapping) else None
    if isinstance(batch, tuple | list) and len(batch) == 2:
        paths = batch[1]
    if isinstance(paths, tuple | list) and all(isinstance(path, str | Path) for path in paths):
        return [str(path) for path in paths]
    # What the trainer's sampler drew for each batch. It would keep that for the whole run; the batch before is let go
    # here, this one not yet, since other callbacks may read it.
    drawn = getattr(getattr(loader, "batch_sampler", None), "seen_batch_indices", None)
    if drawn:
        if batch_idx:
            drawn[batch_idx - 1] = ()
        return [_name(loader.dataset, index) for index in drawn[batch_idx]]
    if world_size > 1:
        wanted = "say which image a row is of where several processes predict data without an index"
        remedy = 'Let the batch be (images, paths) or a dict with "path".'
        raise CallbackError(must("the batch", wanted, "neither paths nor indices", remedy))
    return list(range(seen, seen + rows))


def _name(dataset: Any, index: int) -> Any:
    """Return the name that a data set has for an image, or its index."""
    outer = index
    while hasattr(dataset, "indices") and hasattr(dataset, "dataset"):  # a Subset
        index, dataset = int(dataset.indices[index]), dataset.dataset
    samples = getattr(dataset, "samples", None)
    for names in (getattr(dataset, "paths", None), getattr(samples, "names", None), samples):
        if isinstance(names, tuple | list):
            name = names[index][0] if isinstance(names[index], tuple | list) else names[index]
            if isinstance(name, str | Path):
                return str(name)
    return outer
