"""``topk-lightning predict``: the k best classes of image files, for people or for programs."""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich
from jsonargparse import Namespace
from rich.console import Console
from rich.table import Table
from rich.text import Text

from topk_lightning._checks import InvalidValueError, MissingPackageError, must
from topk_lightning._checks.options import check_choice, check_integer
from topk_lightning.cli._errors import UsageError, check_given_files, check_max_pixels, check_share, usage
from topk_lightning.cli._parser import OptionParser, check_logit_adjustment
from topk_lightning.cli._runs import check_writable, checkpoint_of
from topk_lightning.drawing import visible_text

if TYPE_CHECKING:
    from topk_lightning.prediction import TopKPrediction, TrainedModel

__all__ = ["WRITERS", "main", "prediction_table"]

_WIDE = 100  # columns of a terminal with room for bars
_MANY = 100  # images that take long enough for a bar
_NAMED = 5  # unreadable files in one sentence

Named = Sequence[tuple[str, Sequence["TopKPrediction"]]]


def main(words: Sequence[str]) -> None:
    """Predict the images of the command line and print or write the answer; unreadable ones are named at the end."""
    options = _parser().parse_args(list(words[1:]))
    with usage():
        check_integer("--batch-size", options.batch_size)
        if options.k is not None:
            check_integer("--k", options.k)
        if options.coverage is not None:
            check_share(options.coverage)
            if options.k is not None:
                raise UsageError(must("--k", "be left out with --coverage, which says how many names", options.k))
        check_logit_adjustment(options.logit_adjustment)
        check_max_pixels(options.max_pixels)
        check_choice("--device", options.device, ("auto", "cpu", "cuda", "mps"))
    form = _format_of(options)
    checkpoint = checkpoint_of(options.checkpoint)
    check_given_files("images", options.images)
    # Only now: --help and mistakes need no torch.
    from topk_lightning.prediction import TrainedModel, list_images

    files = list_images(options.images)
    model = TrainedModel.load(
        checkpoint, options.network, logit_adjustment=options.logit_adjustment, trust=options.trust
    )
    if options.device != "auto":
        model.network.to(options.device)
    named, unreadable = _predict(model, files, options)
    if named:
        _answer(named, form, options)
    if unreadable:
        sys.stdout.flush()
        listed = ", ".join(map(repr, unreadable[:_NAMED])) + (", …" if len(unreadable) > _NAMED else "")
        large = sum(_is_too_large(file, model, options.max_pixels) for file in unreadable)
        remedy = f"A larger --max-pixels lets {large} of them in." if large else ""
        actual = f"{len(unreadable)} of {len(files)} that are not: {listed}"
        raise InvalidValueError(must("images", "be readable", actual, remedy))


def _is_too_large(file: str, model: TrainedModel, max_pixels: int | None) -> bool:
    from topk_lightning.data import MAX_PIXELS, TooLargeImageError, UnreadableImageError

    try:
        model.known_preprocessing().load(file, MAX_PIXELS if max_pixels is None else max_pixels)
    except UnreadableImageError as error:
        return isinstance(error, TooLargeImageError)
    return False


def _answer(named: Named, form: str, options: Namespace) -> None:
    from topk_lightning._files import write_file

    console = rich.get_console()
    if options.out is not None:
        out = Path(options.out)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_file(out, WRITERS[form](named, options.spreadsheet_safe))
        console.print(f"predictions: {visible_text(str(out))}", soft_wrap=True, highlight=False, markup=False)
    elif form == "table":
        console.print(prediction_table(named, bars=console.width >= _WIDE))
    else:
        sys.stdout.write(WRITERS[form](named, options.spreadsheet_safe).decode())


def _predict(model: TrainedModel, files: Sequence[Path], options: Namespace) -> tuple[list[Any], list[str]]:
    """Return each readable image with its predictions, and the names of the others; a bar shows where many are."""
    from rich.progress import track

    from topk_lightning.data import BadImageWarning
    from topk_lightning.prediction import predict_sets, predict_topk

    named, unreadable = [], []
    console = Console(stderr=True)
    starts = range(0, len(files), options.batch_size)
    given = {"batch_size": options.batch_size, "max_pixels": options.max_pixels}
    # A bar that is only disabled would leave an empty line, with some versions of rich.
    is_shown = len(files) >= _MANY and console.is_terminal
    steps = track(starts, "Predicting", console=console, transient=True) if is_shown else starts
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BadImageWarning)  # all are named in one sentence
        for start in steps:
            batch = files[start : start + options.batch_size]
            if options.coverage is None:
                answers: Any = predict_topk(model, batch, options.k, **given)
                answers = [row or None for row in answers]
            else:
                answers = predict_sets(model, batch, options.coverage, **given)
            named += [(str(file), row) for file, row in zip(batch, answers, strict=True) if row is not None]
            unreadable += [str(file) for file, row in zip(batch, answers, strict=True) if row is None]
    return named, unreadable


def _format_of(options: Namespace) -> str:
    """Return the format that was asked for, by its name or by the ending of the file."""
    if options.out is None:
        return str(options.format)
    check_writable(Path(options.out))
    form = Path(options.out).suffix.lower().removeprefix(".")
    if form not in ("csv", "jsonl", "parquet"):
        raise UsageError(must("--out", "end in .csv, .jsonl or .parquet", repr(options.out)))
    if form == "parquet" and importlib.util.find_spec("pyarrow") is None:
        remedy = 'Install it with pip install "topk-lightning[parquet]".'
        raise MissingPackageError(must("pyarrow", "be installed for --out .parquet", "none", remedy), name="pyarrow")
    return form


def prediction_table(named: Named, bars: bool = True) -> Table:
    """Return a table with the k best classes of each image, best first.

    Args:
        named: each image with its predictions.
        bars: add a bar for each probability.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("image", overflow="fold")
    table.add_column("rank", justify="right")
    table.add_column("class", overflow="fold", style="cyan")
    table.add_column("probability", justify="right")
    if bars:
        table.add_column("", no_wrap=True)
    for image, predictions in named:
        if not predictions:
            table.add_row(Text(visible_text(image)), "0", "", "", *([""] if bars else []))
        for rank, prediction in enumerate(predictions, 1):
            first, probability = Text(visible_text(image) if rank == 1 else ""), prediction.probability
            cells = [first, Text(str(rank)), Text(visible_text(prediction.label)), Text(f"{probability:.3f}")]
            table.add_row(*cells, *([Text("█" * round(20 * probability), style="blue")] if bars else []))
    return table


def _as_json(named: Named, spreadsheet_safe: bool = False) -> bytes:
    rows = [
        {
            "image": image,
            "predictions": [{"class": p.label, "index": p.index, "probability": p.probability} for p in row],
        }
        for image, row in named
    ]
    return (json.dumps(rows, ensure_ascii=False, indent=1) + "\n").encode()


def _rows(named: Named) -> list[tuple[Any, ...]]:
    """Return a row for each prediction, and one of rank 0 for an image whose set is empty."""
    rows: list[tuple[Any, ...]] = []
    for image, predictions in named:
        rows += [(image, rank, p.label, p.index, p.probability) for rank, p in enumerate(predictions, 1)]
        rows += [] if predictions else [(image, 0, "", None, None)]
    return rows


def _as_csv(named: Named, spreadsheet_safe: bool = False) -> bytes:
    from topk_lightning._files import csv_text

    return csv_text([COLUMNS, *_rows(named)], spreadsheet_safe=spreadsheet_safe).encode()


def _as_jsonl(named: Named, spreadsheet_safe: bool = False) -> bytes:
    lines = (json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False) for row in _rows(named))
    return "".join(f"{line}\n" for line in lines).encode()


def _as_parquet(named: Named, spreadsheet_safe: bool = False) -> bytes:
    pyarrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    columns = zip(*_rows(named), strict=True)
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(dict(zip(COLUMNS, map(list, columns), strict=True))), buffer)
    return buffer.getvalue()


COLUMNS = ("image", "rank", "class", "index", "probability")
#: The formats for programs; standard output holds nothing else.
WRITERS = {"json": _as_json, "csv": _as_csv, "jsonl": _as_jsonl, "parquet": _as_parquet}


def _parser() -> OptionParser:
    parser = OptionParser("predict", "Name the k best classes of images.")
    parser.add_argument(
        "checkpoint", type=str, help="file that a training of TopKClassifier saved, or the folder of a run"
    )
    parser.add_argument("images", nargs="+", help="image files, or folders that are searched with all below them")
    parser.add_argument(
        "--k",
        type=int | None,
        default=None,
        help="how many classes an image, 1 up to their number (default: 5 at most)",
    )
    parser.add_argument(
        "--coverage",
        type=float | None,
        default=None,
        help="show as few classes as have the right one among them with this probability, such as 0.9 (after: sets)",
    )
    parser.add_argument(
        "--format", choices=["table", "json", "csv", "jsonl"], default="table", help="for people, or for programs"
    )
    parser.add_argument("--out", type=str | None, default=None, help="a .csv, .jsonl or .parquet file to write")
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--batch-size", type=int, default=32, help="images at a time")
    parser.add_argument(
        "--spreadsheet-safe", action="store_true", help="csv: no cell that a spreadsheet would take for a formula"
    )
    parser.add_max_pixels()
    parser.add_logit_adjustment()
    parser.add_network_options()
    return parser
