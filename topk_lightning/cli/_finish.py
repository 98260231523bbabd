"""What follows a training: the test, the report, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich

from topk_lightning.callbacks import LoggerReport
from topk_lightning.classifier import TopKClassifier
from topk_lightning.cli._keep_last import KeepLast
from topk_lightning.cli._out import print_line
from topk_lightning.cli._running import until_stopped
from topk_lightning.cli._runs import REPORT
from topk_lightning.cli._stops import STOPS, Stopped
from topk_lightning.cli._test_result import TestResult, result_table
from topk_lightning.data import ImageDataModuleBase

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["finish_training", "say", "say_how_to_go_on", "show_test"]


def finish_training(
    trainer: Trainer, model: LightningModule, folder: Path, report: bool, facts: Mapping[str, str]
) -> None:
    """Test the best checkpoint and write its report, where model and data are ours; say what was written and what to do."""
    checkpoint = getattr(trainer.checkpoint_callback, "best_model_path", "") or getattr(
        trainer.checkpoint_callback, "last", ""
    )
    data: Any = getattr(trainer, "datamodule", None)
    if not trainer.is_global_zero or not checkpoint or not Path(checkpoint).is_file():
        return
    checkpoint = _as_typed(checkpoint)
    lines = [("checkpoint", checkpoint)]
    page = folder / REPORT
    predict = shlex.join(["topk-lightning", "predict", checkpoint]) + " IMAGES"
    if not isinstance(model, TopKClassifier):
        test = ["topk-lightning", "test", "--config", str(folder / "config.yaml"), "--ckpt_path", checkpoint]
        lines.append(("test it", shlex.join(test)))
    elif report and isinstance(data, ImageDataModuleBase) and trainer.world_size == 1:
        try:
            _test_and_report(trainer, model, data, checkpoint, page, facts)
        except KeyboardInterrupt as stop:
            again = shlex.join(["topk-lightning", "report", checkpoint, "--out", str(page)])
            raise Stopped(
                f"{STOPS.word}. The training is finished. Test it and write its report with: {again}"
            ) from stop
        lines += [("report", str(page)), ("predict with it", predict)]
    else:
        lines += [("report", shlex.join(["topk-lightning", "report", checkpoint])), ("predict with it", predict)]
    say(lines)


def _as_typed(path: str | Path) -> str:
    """Return a path from here, where it is below."""
    return str(Path(path).relative_to(Path.cwd()) if Path(path).is_relative_to(Path.cwd()) else path)


def _test_and_report(
    trainer: Trainer, model: LightningModule, data: Any, checkpoint: str, page: Path, facts: Mapping[str, str]
) -> None:
    from topk_lightning.report import write_report

    result = TestResult()
    trainer.callbacks.append(result)  # type: ignore[attr-defined]
    if not until_stopped(lambda: trainer.test(model, data, ckpt_path=checkpoint, verbose=False)):
        raise Stopped
    rich.get_console().print()
    show_test(trainer, result)
    write_report(checkpoint, data, page, facts=facts)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, LoggerReport):
            callback.send_report(trainer, page)


def show_test(trainer: Trainer, result: TestResult) -> None:
    """Print the accuracies with their intervals beside chance."""
    if trainer.is_global_zero and result.topk:
        rich.get_console().print(result_table(result))


def say(lines: list[tuple[str, str]]) -> None:
    """Print what is where, and what to type, one a line."""
    width = max(len(what) for what, _ in lines) + 1
    for what, where in lines:
        print_line(f"{what + ':':<{width}} {where}")


def say_how_to_go_on(folder: Path, trainer: Trainer, again: str | None = None) -> str:
    """Return the sentence after a stop: what was kept, and the command that goes on.

    Args:
        folder: of the run.
        trainer: that was stopped.
        again: the command, where it is another one than ``resume``.
    """
    keep = next((callback for callback in trainer.checkpoint_callbacks if isinstance(callback, KeepLast)), None)
    if keep is None:
        return f"{STOPS.word}. Nothing was saved."
    word, kept = STOPS.word, keep.kept
    if keep.not_kept:
        word += f". This step could not be kept: {keep.not_kept.rstrip('.')}"
    from_epoch = again or shlex.join(["topk-lightning", "resume", str(folder)])
    from_step = shlex.join(["topk-lightning", "resume", str(kept)])
    if kept is not None and kept == keep.last:  # the loader's state is in it
        return f"{word}. This step is kept in {kept}. Go on with: {from_epoch}"
    if not keep.last.is_file():
        if kept is None:
            return f"{word}. Nothing was saved."
        return f"{word}. This step is kept in {kept}." + (f" Go on with: {from_step}" if again is None else "")
    last = f"The last finished epoch is kept in {keep.last}."
    if kept is None or again is not None:
        return f"{word}. {last}" + (f" This step is kept in {kept}." if kept else "") + f" Go on with: {from_epoch}"
    step = f"This step is kept in {kept}: {from_step} goes on from it."
    return f"{word}. {step} {last} Go on from there, as if never stopped, with: {from_epoch}"
