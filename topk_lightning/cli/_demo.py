"""``topk-lightning demo``: train on the embedded emoji, test on a vendor never seen, name six pictures, report it all."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich
from jsonargparse import Namespace

from topk_lightning._checks.options import check_choice, check_integer
from topk_lightning._checks.places import check_folder_place
from topk_lightning.cli._errors import nothing_to_resume, usage
from topk_lightning.cli._parser import OptionParser

if TYPE_CHECKING:
    from topk_lightning.drawing import NamedPicture

__all__ = ["main"]

PICTURES = 6
PICTURES_K = 3


def main(arguments: Sequence[str]) -> None:
    """Run the demonstration."""
    options = _parser().parse_args(list(arguments[1:]))
    with usage():
        check_integer("--epochs", options.epochs)
        check_integer("--seed", options.seed, 0)
        check_choice("--accelerator", options.accelerator, ("auto", "cpu", "gpu", "cuda", "mps"))
    check_folder_place("--out", options.out)
    from topk_lightning.cli._demo_recipe import shared_cores
    from topk_lightning.cli._quiet import quiet_lightning

    with quiet_lightning(), shared_cores():
        _run(options, again=shlex.join(["topk-lightning", *arguments]))


def _run(options: Namespace, again: str) -> None:
    # Only now: --help and mistakes need no torch.
    from pytorch_lightning import Trainer, seed_everything
    from pytorch_lightning.callbacks import ModelCheckpoint

    from topk_lightning.callbacks import TrainingTrace
    from topk_lightning.cli._demo_recipe import curriculum_callbacks, demo_classifier, demo_data
    from topk_lightning.cli._finish import say_how_to_go_on
    from topk_lightning.cli._keep_last import KeepLast, WholeCheckpointIO
    from topk_lightning.cli._progress import EpochProgressBar, shows_progress
    from topk_lightning.cli._running import until_stopped
    from topk_lightning.cli._runs import LAST, TABLE, sole_training
    from topk_lightning.cli._stops import Stopped
    from topk_lightning.cli._test_result import TestResult, result_table
    from topk_lightning.prediction import read_checkpoint

    console = rich.get_console()
    out = Path(options.out)
    last = out / LAST
    if options.resume:
        if not last.is_file():
            raise nothing_to_resume(out)
        read_checkpoint(last)  # says what is wrong with it, if anything is
    seed_everything(options.seed, workers=True, verbose=False)
    data = demo_data(options.classes, options.seed)
    classifier = demo_classifier(data, options.epochs, options.curriculum)
    trace, result = TrainingTrace(str(out / TABLE), monitor="val/loss"), TestResult()
    # By the loss: on some hundred drawings a top-k accuracy goes up and down by more than two epochs differ.
    checkpoint = ModelCheckpoint(out, "best", monitor="val/loss", enable_version_counter=False)
    # Before the trace, which shows what they set.
    curriculum = curriculum_callbacks(data) if options.curriculum else []
    trainer = Trainer(
        accelerator=options.accelerator,
        devices=1,
        max_epochs=options.epochs,
        default_root_dir=out,
        logger=False,
        plugins=[WholeCheckpointIO()],
        callbacks=[
            *curriculum,
            trace,
            checkpoint,
            KeepLast(out),
            result,
            *([EpochProgressBar()] if shows_progress() else []),
        ],
        enable_progress_bar=shows_progress(),
        enable_model_summary=False,
    )
    console.print(f"Data: {data.describe()}.", highlight=False)
    console.print(
        f"Trained on drawings by {', '.join(data.vendors['train'])}; validated on {', '.join(data.vendors['val'])}; "
        f"tested on {', '.join(data.vendors['test'])}, never seen in training.",
        highlight=False,
    )
    weights = sum(parameter.numel() for parameter in classifier.network.parameters())
    device = trainer.strategy.root_device
    console.print(f"Network: SmallCNN, {weights:,} weights, on {device}. Seed {options.seed}.\n", highlight=False)

    def fit_and_test() -> None:
        trainer.fit(classifier, data, ckpt_path=last if options.resume else None, weights_only=True)
        trainer.test(classifier, data, ckpt_path=checkpoint.best_model_path, verbose=False)

    with sole_training(out):
        if not until_stopped(fit_and_test):
            raise Stopped(say_how_to_go_on(out, trainer, again if options.resume else again + " --resume"))
    console.print()
    vendors = ", ".join(data.vendors["test"])
    images = len(data.targets("test"))
    console.print(f"Test on {images} drawings by {vendors}; accuracies are fractions.", highlight=False)
    console.print(result_table(result))

    pictures = _predict(classifier, data, options.seed)
    console.print()
    console.print(_pictures_table(pictures))
    _write_summary(out, trace.rows, pictures, result)
    _write_drawings(out / "drawings", pictures)
    _write_report(out, data, {"Seed": str(options.seed), "Command": again})
    _say_what_was_written(out)


def _predict(classifier: Any, data: Any, seed: int) -> list[NamedPicture]:
    """Predict some drawings of the test set, drawn by the seed, not chosen for their looks."""
    import torch

    from topk_lightning.drawing import NamedPicture
    from topk_lightning.prediction import predict_topk

    targets = data.targets("test")
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed))
    chosen = order[:PICTURES].tolist()
    pictures = data.pictures("test", chosen)
    predictions: Any = predict_topk(classifier, pictures, min(PICTURES_K, data.num_classes))
    return [
        NamedPicture(picture, data.class_names[targets[index]], predicted)
        for index, picture, predicted in zip(chosen, pictures, predictions, strict=True)
    ]


def _pictures_table(pictures: Sequence[NamedPicture]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("drawing of", overflow="fold")
    table.add_column("its three best classes", overflow="fold")
    for item in pictures:
        line = Text(", ").join(
            Text(f"{p.label} {p.probability:.3f}", style="bold green" if p.label == item.truth else "")
            for p in item.predictions
        )
        table.add_row(Text(item.truth), line)
    return table


def _write_summary(out: Path, rows: Sequence[Any], pictures: Sequence[NamedPicture], result: Any) -> None:
    from topk_lightning._files import write_file
    from topk_lightning.drawing import png_of
    from topk_lightning.report import training_summary

    numbers = ", ".join(f"top-{row.k} {row.accuracy:.3f}" for row in result.topk)
    title = f"Test on a vendor never seen in training: {numbers}"
    write_file(out / "demo.png", png_of(training_summary(rows, pictures, title)))


def _write_drawings(folder: Path, pictures: Sequence[NamedPicture]) -> None:
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for number, item in enumerate(pictures, 1):
        item.picture.save(folder / f"{number}-{re.sub('[^A-Za-z0-9]+', '-', item.truth)}.png")


def _write_report(out: Path, data: Any, facts: dict[str, str]) -> None:
    from topk_lightning.report import write_report

    write_report(out / "best.ckpt", data, out / "report.html", title="How well emoji are named", facts=facts)


def _say_what_was_written(out: Path) -> None:
    from topk_lightning.cli._finish import say

    command = ["topk-lightning", "predict", str(out / "best.ckpt"), str(out / "drawings"), "--k", "3"]
    rich.get_console().print()
    say(
        [
            ("curves and pictures", str(out / "demo.png")),
            ("epoch table", str(out / "epochs.csv")),
            ("best checkpoint", str(out / "best.ckpt")),
            ("predict with it", shlex.join(command)),
            ("report", str(out / "report.html")),
        ]
    )


def _parser() -> OptionParser:
    parser = OptionParser(
        "demo",
        "Train a small network on embedded drawings of emoji, test it on a vendor it never saw, and name "
        "six pictures. Uses a GPU where there is one; takes under three minutes on two CPU cores.",
    )
    parser.add_argument("--out", type=str, default="runs/demo", help="folder for what is written")
    parser.add_argument("--epochs", type=int, default=30, help="passes through the training images")
    parser.add_optional("--classes", int, "so many of the emoji (default: all of them)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, order, augmentation and pictures")
    parser.add_argument("--accelerator", default="auto", help="auto, cpu, gpu or mps, as Lightning's Trainer")
    parser.add_argument(
        "--curriculum",
        action="store_true",
        help="start with the smooth top-5 SVM loss at temperature 4 and end with cross entropy",
    )
    parser.add_argument("--resume", action="store_true", help="go on where a training in --out was interrupted")
    return parser
