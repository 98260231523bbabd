"""``topk-lightning report``: test a checkpoint and write what came out as one HTML file."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rich

from topk_lightning._checks.report import check_report_path, no_data_known, no_data_section
from topk_lightning.cli._parser import OptionParser
from topk_lightning.cli._runs import checkpoint_of

__all__ = ["main"]


def main(arguments: Sequence[str]) -> None:
    """Write the report of the command line and say where it is."""
    options = _parser().parse_args(list(arguments[1:]))
    check_report_path(options.out)
    # Only now: --help and mistakes need no torch.
    from topk_lightning.cli._quiet import quiet_lightning
    from topk_lightning.prediction import TrainedModel
    from topk_lightning.report import write_report

    path = Path(checkpoint_of(options.checkpoint))
    model = TrainedModel.load(path, options.network, trust=options.trust)
    console = rich.get_console()
    with quiet_lightning(), console.status("Testing …"):
        data, facts = _data(options.data, path, model.hyperparameters)
        out = write_report(
            model,
            data,
            options.out,
            k=options.k,
            hierarchy=options.hierarchy,
            epoch_table=options.epoch_table,
            hard_images=options.hard_images,
            batch_size=options.batch_size,
            title=options.title,
            facts={**facts, "Command": shlex.join(["topk-lightning", *arguments])},
        )
    # Not wrapped: a path over two lines could not be copied.
    console.print(f"report: {out}", soft_wrap=True, highlight=False, markup=False)


def _data(given: str | None, checkpoint: Path, trained: Mapping[str, Any]) -> tuple[Any, dict[str, str]]:
    """Return the data of the option, or what the checkpoint was trained on, and what else its training says."""
    from topk_lightning.data import EMBEDDED_SHEET, EmojiDataModule, read_index
    from topk_lightning.epoch_table import training_folders

    configs = [folder / "config.yaml" for folder in training_folders(checkpoint)]
    config = next((path for path in configs if path.is_file()), None)
    if given is None and config is not None:
        return _data_of_config(config, trained)
    if given is not None and given.endswith((".yaml", ".yml")):
        return _data_of_config(Path(given), trained)
    known = {entry["name"] for entry in read_index(EMBEDDED_SHEET)["classes"]}
    names: list[str] = trained.get("class_names") or []
    drawings = bool(names) and set(names) <= known
    if given == "emoji" or (given is None and drawings):
        return EmojiDataModule(classes=names if drawings else None, **_preparation(EmojiDataModule, trained)), {}
    if given is None:
        raise no_data_known(str(checkpoint))
    return given, {}


def _data_of_config(path: Path, trained: Mapping[str, Any]) -> tuple[Any, dict[str, str]]:
    """Return the data module that a yaml file of ``fit`` names, with the images prepared as the checkpoint was trained."""
    import yaml

    from topk_lightning.networks.specification import build_callable

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise no_data_section(str(path)) from error
    section = config.get("data") if isinstance(config, dict) else None
    if isinstance(section, str):
        section = {"class_path": section}
    if not isinstance(section, dict) or "class_path" not in section:
        raise no_data_section(str(path))
    kind: Any = build_callable("--data", {"class_path": section["class_path"]})
    data = kind(**{**(section.get("init_args") or {}), **_preparation(kind, trained)})
    seed = config.get("seed_everything")
    return data, {} if seed is None else {"Seed": str(seed)}


def _preparation(kind: Any, trained: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a data module that prepare the images as in training, as far as it takes them."""
    prepared = trained.get("preprocessing")
    if prepared is None:
        return {}
    arguments = {
        "image_size": prepared["image_size"],
        "resize": prepared["resize"],
        "statistics": [prepared["mean"], prepared["std"]],
    }
    taken = inspect.signature(kind).parameters
    return {name: value for name, value in arguments.items() if name in taken}


def _parser() -> OptionParser:
    parser = OptionParser(
        "report", "Test a checkpoint and write findings, numbers, mistakes and hard images as one HTML file."
    )
    parser.add_argument(
        "checkpoint", type=str, help="file that a training of TopKClassifier saved, or the folder of a run"
    )
    parser.add_argument(
        "--data",
        type=str,
        default=None,
        help="a folder of test images (one folder a class), a yaml file of fit, or emoji (default: what it was trained on)",
    )
    parser.add_argument("--out", type=str, default="report.html", help="the file to write")
    parser.add_argument("--k", type=int, default=None, help="guesses that count (default: those of the checkpoint)")
    parser.add_argument("--hierarchy", type=str, default=None, help="csv file with a line class,group for each class")
    parser.add_argument("--epoch-table", type=str, default=None, help="default: epochs.csv of the training")
    parser.add_argument("--title", type=str, default=None, help="heading of the report")
    parser.add_argument("--hard-images", type=int, default=12, help="how many to show of each kind")
    parser.add_argument("--batch-size", type=int, default=32, help="images at a time, for a folder")
    parser.add_network_options()
    return parser
