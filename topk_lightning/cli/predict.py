"""``topk-lightning predict``: the k best classes of image files, for people or for programs."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import rich
from jsonargparse import ArgumentParser, Namespace
from rich.table import Table
from rich.text import Text

from topk_lightning._checks.trace_options import check_one_file, check_trace_options

if TYPE_CHECKING:
    from topk_lightning.prediction import TopKPrediction

__all__ = ["FORMATS", "main", "prediction_table"]

_WIDE = 100  # columns of a terminal with room for bars

Named = Sequence[tuple[str, Sequence["TopKPrediction"]]]


def main(arguments: Sequence[str]) -> None:
    """Predict the images of the command line and print the answer."""
    options = _parser().parse_args(list(arguments[1:]))
    traced = options.trace or options.trace_picture is not None
    check_trace_options(traced, options.format, options.target, options.trace_picture)
    # Only now: --help and mistakes need no torch.
    from topk_lightning.prediction import predict_topk
    from topk_lightning.prediction.image_sources import list_images

    files = list_images(options.images)
    if traced:
        _trace(options, check_one_file(files))
        return
    predictions = predict_topk(options.checkpoint, files, options.k, batch_size=options.batch_size)
    named = [(str(file), row) for file, row in zip(files, predictions, strict=True)]
    if options.format == "table":
        console = rich.get_console()
        console.print(prediction_table(named, bars=console.width >= _WIDE))  # type: ignore[arg-type]
    else:
        sys.stdout.write(FORMATS[options.format](named))  # type: ignore[arg-type]


def _trace(options: Namespace, file: Path) -> None:
    from topk_lightning.prediction import trace_prediction

    trace = trace_prediction(options.checkpoint, file, k=options.k, target=options.target)
    rich.print(trace)
    if options.trace_picture is not None:
        from topk_lightning.drawing import png_of

        path = Path(options.trace_picture)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_of(trace.figure()))
        rich.get_console().print(f"\npicture: {path}", soft_wrap=True, highlight=False, markup=False)


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


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="topk-lightning predict",
        description="Name the k best classes of images.",
        version=version("topk-lightning"),
    )
    parser.add_argument("images", nargs="+", help="image files, or folders that are searched with all below them")
    parser.add_argument("--checkpoint", required=True, type=str, help="file that a training of TopKClassifier saved")
    parser.add_argument("--k", type=int, default=5, help="how many classes an image, 1 up to their number")
    parser.add_argument("--format", choices=["table", *FORMATS], default="table", help="for people, or for programs")
    parser.add_argument("--batch-size", type=int, default=32, help="images at a time")
    parser.add_argument("--trace", action="store_true", help="show what each layer does with the one image given")
    parser.add_argument("--target", type=str, default=None, help="its true class, for --trace: a name or an index")
    parser.add_argument(
        "--trace-picture", type=str, default=None, metavar="FILE", help="--trace, and a PNG file with its feature maps"
    )
    return parser
