"""``topk-lightning predict``: the k best classes of image files, for people or for programs."""

from __future__ import annotations

import csv
import io
import json
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import rich
from rich.table import Table
from rich.text import Text

from topk_lightning._checks import InvalidValueError
from topk_lightning._checks.options import check_integer
from topk_lightning.cli._errors import check_given_files, usage
from topk_lightning.cli._parser import OptionParser
from topk_lightning.cli._runs import checkpoint_of

if TYPE_CHECKING:
    from topk_lightning.prediction import TopKPrediction

__all__ = ["FORMATS", "main", "prediction_table"]

_WIDE = 100  # columns of a terminal with room for bars

Named = Sequence[tuple[str, Sequence["TopKPrediction"]]]


def main(words: Sequence[str]) -> None:
    """Predict the images of the command line and print the answer."""
    options = _parser().parse_args(list(words[1:]))
    with usage():
        check_integer("--batch-size", options.batch_size)
        if options.k is not None:
            check_integer("--k", options.k)
    checkpoint = checkpoint_of(options.checkpoint)
    check_given_files("images", options.images)
    # Only now: --help and mistakes need no torch.
    from topk_lightning.data import BadImageWarning
    from topk_lightning.prediction import TrainedModel, list_images, predict_topk

    files = list_images(options.images)
    model = TrainedModel.load(checkpoint, options.network, trust=options.trust)
    unreadable = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", BadImageWarning)
        predictions: Any = predict_topk(model, files, options.k, batch_size=options.batch_size)
    for warning in caught:
        if issubclass(warning.category, BadImageWarning):
            unreadable.append(str(warning.message))
        else:
            warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)
    named = [(str(file), row) for file, row in zip(files, predictions, strict=True) if row]
    if options.format == "table":
        console = rich.get_console()
        console.print(prediction_table(named, bars=console.width >= _WIDE))
    else:
        sys.stdout.write(FORMATS[options.format](named))
    if unreadable:
        sys.stdout.flush()
        raise InvalidValueError(unreadable[0])


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
        for rank, prediction in enumerate(predictions, 1):
            first, probability = Text(image if rank == 1 else ""), prediction.probability
            cells = [first, Text(str(rank)), Text(prediction.label), Text(f"{probability:.3f}")]
            table.add_row(*cells, *([Text("█" * round(20 * probability), style="blue")] if bars else []))
    return table


def _as_json(named: Named) -> str:
    rows = [
        {
            "image": image,
            "predictions": [{"class": p.label, "index": p.index, "probability": p.probability} for p in row],
        }
        for image, row in named
    ]
    return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"


def _as_csv(named: Named) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["image", "rank", "class", "index", "probability"])
    for image, row in named:
        writer.writerows([image, rank, p.label, p.index, p.probability] for rank, p in enumerate(row, 1))
    return buffer.getvalue()


#: The formats for programs; standard output holds nothing else.
FORMATS = {"json": _as_json, "csv": _as_csv}


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
    parser.add_argument("--format", choices=["table", *FORMATS], default="table", help="for people, or for programs")
    parser.add_argument("--batch-size", type=int, default=32, help="images at a time")
    parser.add_network_options()
    return parser
