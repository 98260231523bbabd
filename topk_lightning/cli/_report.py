"""``topk-lightning report``: test a checkpoint and write what came out as one HTML file."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rich

from topk_lightning._checks.places import check_file_place
from topk_lightning.cli._errors import check_all_read, usage
from topk_lightning.cli._out import print_line
from topk_lightning.cli._parser import OptionParser, check_logit_adjustment
from topk_lightning.cli._possible import add_classes_option
from topk_lightning.cli._runs import checkpoint_of
from topk_lightning.cli._scores import NO_FILE, NO_IMAGES, add_scores_options, check_used, is_scores, stored_scores
from topk_lightning.report import check_report_path

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Write the report of the command line and say where it is."""
    options = _parser().parse_args(list(words[1:]))
    with usage():
        check_report_path(options.out)
        check_logit_adjustment(options.logit_adjustment)
    page = Path(options.out)
    check_file_place("--out", page, [f"{page.stem}_suspects.csv"])
    check_file_place("--out", page.with_suffix(".json"))
    if is_scores(options.checkpoint):
        check_used(
            options, {"data": None, "batch_size": 32, "network": None, "trust": [], "logit_adjustment": 0.0}, NO_IMAGES
        )
        _report_scores(options, words)
        return
    check_used(options, dict.fromkeys(("validation", "kind", "target", "class_names")), NO_FILE)
    checkpoint = checkpoint_of(options.checkpoint)
    # Only now: --help and mistakes need no torch.
    from topk_lightning.cli._quiet import quiet_lightning
    from topk_lightning.cli._trained_data import trained_data
    from topk_lightning.prediction import TrainedModel
    from topk_lightning.report import write_report

    with quiet_lightning(), rich.get_console().status("Testing …"):
        model = TrainedModel.load(
            checkpoint, options.network, logit_adjustment=options.logit_adjustment, trust=options.trust
        )
        out = write_report(
            model,
            trained_data(options.data, model),
            options.out,
            batch_size=options.batch_size,
            **_shared(options, words),
        )
    print_line(f"report: {out}")
    unreadable = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))["images"]["unreadable"]
    check_all_read({image["name"]: image["reason"] for image in unreadable})


def _report_scores(options: Any, words: Sequence[str]) -> None:
    """Write the report of stored scores: no network and no images."""
    from topk_lightning.report import write_report

    validation = None if options.validation is None else stored_scores(options.validation, options)
    out = write_report(
        stored_scores(options.checkpoint, options),
        None,
        options.out,
        validation=validation,
        **_shared(options, words),
    )
    print_line(f"report: {out}")


def _shared(options: Any, words: Sequence[str]) -> dict[str, Any]:
    """Return what a report takes of a checkpoint and of scores alike."""
    names = ("k", "hierarchy", "epoch_table", "hard_images", "title", "classes", "spreadsheet_safe")
    return {name: options[name] for name in names} | {"facts": {"Command": shlex.join(["topk-lightning", *words])}}


def _parser() -> OptionParser:
    parser = OptionParser(
        "report", "Test a checkpoint and write findings, numbers, mistakes and hard images as one HTML file."
    )
    parser.add_checkpoint(", or a file of scores (.npz, .npy, …)")
    parser.add_optional(
        "--data",
        str,
        "a folder of test images (one folder a class), a csv table, a yaml file of fit, or emoji (default: what it was trained on)",
    )
    parser.add_argument("--out", type=str, default="report.html", help="the file to write")
    parser.add_optional("--k", int, "guesses that count (default: those of the checkpoint)")
    parser.add_optional(
        "--hierarchy", str, "groups of classes: a csv file class,group,larger group, or a tree of folders"
    )
    parser.add_optional("--epoch-table", str, "default: epochs.csv of the training")
    parser.add_optional("--title", str, "heading of the report")
    parser.add_argument("--hard-images", type=int, default=12, help="how many to show of each kind")
    parser.add_argument("--batch-size", type=int, default=32, help="images at a time, for a folder")
    parser.add_spreadsheet_safe()
    parser.add_logit_adjustment()
    parser.add_optional("--validation", str, "beside a file of scores: that of validation images")
    add_classes_option(parser)
    add_scores_options(parser)
    parser.add_network_options()
    return parser
