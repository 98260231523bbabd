"""``topk-lightning predict``: the k best classes of image files, for people or for programs."""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich
from jsonargparse import Namespace

from topk_lightning._checks import InvalidValueError, MissingPackageError, must
from topk_lightning._checks.options import check_choice, check_integer
from topk_lightning._checks.places import check_file_place
from topk_lightning.cli._console import VisibleConsole, write_data
from topk_lightning.cli._errors import UsageError, check_given_files, check_max_pixels, check_share, has_device, usage
from topk_lightning.cli._out import print_line
from topk_lightning.cli._parser import OptionParser, check_logit_adjustment
from topk_lightning.cli._possible import add_classes_option, add_sure_options, check_sure
from topk_lightning.cli._prediction_forms import WRITERS, prediction_table
from topk_lightning.cli._runs import checkpoint_of

if TYPE_CHECKING:
    from topk_lightning.prediction import Decider, TrainedModel

__all__ = ["main"]

_WIDE = 100  # columns of a terminal with room for bars
_UNBOUNDED = 100_000  # columns that no table has
_MANY = 100  # images that take long enough for a bar
_NAMED = 5  # unreadable files in one sentence


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
        sure = check_sure(options)
        check_logit_adjustment(options.logit_adjustment)
        check_max_pixels(options.max_pixels)
        check_choice("--device", options.device, ("auto", "cpu", "cuda", "mps"))
    form = _format_of(options)
    checkpoint = checkpoint_of(options.checkpoint)
    check_given_files("images", options.images)
    # Only now: --help and mistakes need no torch.
    from topk_lightning.prediction import Decider, TrainedModel, list_images

    files = list_images(options.images)
    model = TrainedModel.load(
        checkpoint, options.network, logit_adjustment=options.logit_adjustment, trust=options.trust
    )
    if options.device != "auto":
        with has_device(options.device):
            model.network.to(options.device)
    if options.classes is not None:
        model = model.only(options.classes)
        VisibleConsole(stderr=True).print(model.classes.sentence, highlight=False, markup=False)  # type: ignore[union-attr]
    decide = Decider.of(model, k=options.k, coverage=options.coverage, sure=sure, hierarchy=options.hierarchy)
    named, unreadable = _predict(model, files, decide, options)
    if named:
        _answer(named, form, options)
    if unreadable:
        sys.stdout.flush()
        listed = ", ".join(map(repr, unreadable[:_NAMED])) + (", …" if len(unreadable) > _NAMED else "")
        large = sum(_is_too_large(file, model, options.max_pixels) for file in unreadable)
        remedy = f"A larger --max-pixels lets {large} of them in." if large else _heic_remedy(unreadable)
        actual = f"{len(unreadable)} of {len(files)} that are not: {listed}"
        raise InvalidValueError(must("images", "be readable", actual, remedy))


def _heic_remedy(unreadable: Sequence[str]) -> str:
    from topk_lightning.data import IMAGE_SUFFIXES, left_out_remedy

    return left_out_remedy(dict.fromkeys({Path(file).suffix.lower() for file in unreadable} - IMAGE_SUFFIXES, 1))


def _is_too_large(file: str, model: TrainedModel, max_pixels: int | None) -> bool:
    from topk_lightning.data import MAX_PIXELS, TooLargeImageError, UnreadableImageError

    try:
        model.known_preprocessing().load(file, MAX_PIXELS if max_pixels is None else max_pixels)
    except UnreadableImageError as error:
        return isinstance(error, TooLargeImageError)
    return False


def _answer(named: Sequence[Any], form: str, options: Namespace) -> None:
    from topk_lightning._files import write_file

    console, has_groups = rich.get_console(), options.hierarchy is not None and options.coverage is not None
    if options.out is not None:
        out = Path(options.out)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_file(out, WRITERS[form](named, options.spreadsheet_safe, has_groups))
        print_line(f"predictions: {out}")
    elif form == "table":
        table = prediction_table(named, bars=console.width >= _WIDE)
        if not console.is_terminal and "COLUMNS" not in os.environ:  # a file or pipe has room for whole names
            table.width = table.__rich_measure__(console, console.options.update(max_width=_UNBOUNDED)).maximum
        console.print(table, crop=False)
    else:
        write_data(WRITERS[form](named, options.spreadsheet_safe, has_groups))


def _predict(
    model: TrainedModel, files: Sequence[Path], decide: Decider, options: Namespace
) -> tuple[list[Any], list[str]]:
    """Return each readable image with what is said of it, and the names of the others; a bar shows where many are."""
    from rich.progress import track

    from topk_lightning.data import BadImageWarning
    from topk_lightning.prediction import predict_answers

    named, unreadable = [], []
    console = VisibleConsole(stderr=True)
    starts = range(0, len(files), options.batch_size)
    given = {"batch_size": options.batch_size, "max_pixels": options.max_pixels}
    # A bar that is only disabled would leave an empty line, with some versions of rich.
    is_shown = len(files) >= _MANY and console.is_terminal
    steps = track(starts, "Predicting", console=console, transient=True) if is_shown else starts
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BadImageWarning)  # all are named in one sentence
        for start in steps:
            batch = files[start : start + options.batch_size]
            answers: Any = predict_answers(model, batch, decide, **given)
            named += [(str(file), row) for file, row in zip(batch, answers, strict=True) if row is not None]
            unreadable += [str(file) for file, row in zip(batch, answers, strict=True) if row is None]
    return named, unreadable


def _format_of(options: Namespace) -> str:
    """Return the format that was asked for, by its name or by the ending of the file."""
    if options.out is None:
        return str(options.format)
    form = Path(options.out).suffix.lower().removeprefix(".")
    if form not in ("csv", "jsonl", "parquet"):
        raise UsageError(must("--out", "end in .csv, .jsonl or .parquet", repr(options.out)))
    check_file_place("--out", options.out)
    if form == "parquet" and importlib.util.find_spec("pyarrow") is None:
        remedy = 'Install it with pip install "topk-lightning[parquet]".'
        raise MissingPackageError(must("pyarrow", "be installed for --out .parquet", "none", remedy), name="pyarrow")
    return form


def _parser() -> OptionParser:
    parser = OptionParser("predict", "Name the k best classes of images.")
    parser.add_checkpoint()
    parser.add_argument("images", nargs="+", help="image files, or folders that are searched with all below them")
    parser.add_optional("--k", int, "how many classes an image, 1 up to their number (default: 5 at most)")
    parser.add_optional(
        "--coverage",
        float,
        "show as few classes as have the right one among them with this probability, such as 0.9 (after: sets)",
    )
    add_sure_options(parser)
    add_classes_option(parser)
    parser.add_argument(
        "--format", choices=["table", "json", "csv", "jsonl"], default="table", help="for people, or for programs"
    )
    parser.add_optional("--out", str, "a .csv, .jsonl or .parquet file to write")
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--batch-size", type=int, default=32, help="images at a time")
    parser.add_spreadsheet_safe()
    parser.add_max_pixels()
    parser.add_logit_adjustment()
    parser.add_network_options()
    return parser
