"""``topk-lightning fit`` and ``topk-lightning test``: Lightning's command line with our classifier and data."""

from __future__ import annotations

import inspect
import pkgutil
import shlex
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import rich
from jsonargparse import Namespace
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import Callback, Checkpoint, ModelCheckpoint, ProgressBar
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from topk_lightning._checks.cli import check_checkpoint_file, preprocessing_of_checkpoint
from topk_lightning._checks.prediction import check_checkpoint
from topk_lightning.callbacks import TrainingTrace
from topk_lightning.classifier import TopKClassifier
from topk_lightning.cli.keep_last import KeepLast
from topk_lightning.cli.progress import EpochProgressBar, shows_progress
from topk_lightning.cli.quiet import quiet_lightning
from topk_lightning.cli.running import TrainingInterrupted, until_interrupted
from topk_lightning.cli.test_result import TestResult, result_table
from topk_lightning.data import EmojiDataModule, ImageDataModuleBase
from topk_lightning.prediction.checkpoint import read_checkpoint

__all__ = ["FitAndTest", "main"]


def main(arguments: Sequence[str]) -> None:
    """Run ``fit`` or ``test`` with the words of the command line."""
    release = {"version": version("topk-lightning")}
    with quiet_lightning():
        FitAndTest(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            # The classifier describes itself in its checkpoint; the parser's words would take the place of that.
            load_from_checkpoint_support=False,
            # It also builds its own optimizer, from names or class paths.
            auto_configure_optimizers=False,
            seed_everything_default=0,
            save_config_kwargs={"overwrite": True},
            # An option is what it is called: a shortened one may mean another tomorrow.
            parser_kwargs={"prog": "topk-lightning", "allow_abbrev": False, "fit": release, "test": release},
            args=list(arguments),
        )


class FitAndTest(LightningCLI):
    """Train or test any module and data by class path; :class:`TopKClassifier` and the emoji where none is named."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return the commands, with the arguments of the trainer's methods that are filled in here."""
        return {
            "fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule"},
            "test": {"model", "dataloaders", "datamodule", "verbose"},
        }

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Say what is trained on what by default, and let the data name the classes."""
        paths = {key: f"{kind.__module__}.{kind.__qualname__}" for key, kind in _DEFAULTS.items()}
        parser.set_defaults({key: {"class_path": path} for key, path in paths.items()})
        parser.link_arguments("data", "model.init_args.class_names", compute_fn=_class_names, apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the words that were given; Lightning's own method warns where the program's words differ."""
        self.config = parser.parse_args(args)

    def _parse_ckpt_path(self) -> None:
        """Take the options from the configuration alone; a test builds the classifier from its checkpoint."""

    def before_instantiate_classes(self) -> None:
        """Let a test prepare the images as the checkpoint was trained."""
        self.keep, self.result = KeepLast(), TestResult()
        if self.subcommand != "test":
            return
        config = self.config.test
        self.save_config_callback = None
        path = check_checkpoint_file(config.ckpt_path)
        if issubclass(_class_of(config.model), TopKClassifier) and issubclass(
            _class_of(config.data), ImageDataModuleBase
        ):
            checkpoint = read_checkpoint(path)
            _prepare_as_trained(config.data, check_checkpoint(checkpoint, str(path)).get("preprocessing"))

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Return the trainer, with the callbacks that the configuration lacks."""
        config = self._get(self.config_init, "trainer")
        given = config.get("callbacks") or []
        callbacks = [*given] if isinstance(given, list) else [given]
        if self.subcommand == "test":  # nothing is saved
            callbacks = [callback for callback in callbacks if not isinstance(callback, Checkpoint)]
            kwargs["enable_checkpointing"] = False
        callbacks += self._missing_callbacks(callbacks, config)
        bar = any(isinstance(callback, ProgressBar) for callback in callbacks)
        if not bar and config.get("enable_progress_bar") is None:
            kwargs.setdefault("enable_progress_bar", False)
        trainer: Trainer = super().instantiate_trainer(callbacks=callbacks, **kwargs)
        return trainer

    def _missing_callbacks(self, given: Sequence[Callback], config: Namespace) -> list[Callback]:
        def lacks(kind: type) -> bool:
            return not any(isinstance(callback, kind) for callback in given)

        missing: list[Callback] = []
        if lacks(ProgressBar) and config.get("enable_progress_bar") is not False and shows_progress():
            missing.append(EpochProgressBar())
        if self.subcommand == "test":
            return [*missing, self.result]
        if lacks(TrainingTrace):
            missing.append(TrainingTrace())
        if lacks(Checkpoint) and config.get("enable_checkpointing") is not False and not config.get("fast_dev_run"):
            missing.append(ModelCheckpoint(save_last=True))
        return [*missing, self.keep]

    def fit(self, model: LightningModule, **kwargs: Any) -> None:
        """Train, and say what was written where and how to go on."""
        finished = until_interrupted(lambda: self.trainer.fit(model, **kwargs), lambda: self.keep.interrupted)
        config = str(Path(self.trainer.log_dir or ".") / "config.yaml")
        last = KeepLast.path(self.trainer)
        if not finished:
            saved = "Nothing was saved."
            if last is not None and last.is_file():
                go_on = ["topk-lightning", "fit", "--config", config, "--ckpt_path", str(last)]
                saved = f"The last checkpoint is {last}. Go on with: {shlex.join(go_on)}"
            raise TrainingInterrupted(f"Interrupted. {saved}")
        best = getattr(self.trainer.checkpoint_callback, "best_model_path", "")
        if self.trainer.is_global_zero and best:
            test = ["topk-lightning", "test", "--config", config, "--ckpt_path", best]
            for line in (f"checkpoint: {best}", f"test it:    {shlex.join(test)}"):
                # Not wrapped: a command over two lines could not be copied.
                rich.get_console().print(line, soft_wrap=True, highlight=False, markup=False)

    def test(self, model: LightningModule, ckpt_path: str, **kwargs: Any) -> None:
        """Test a checkpoint and show the accuracies with their intervals beside chance."""
        ours = isinstance(model, TopKClassifier)
        if isinstance(model, TopKClassifier):
            model = TopKClassifier.load_from_checkpoint(ckpt_path, map_location="cpu")
        else:
            kwargs["ckpt_path"] = ckpt_path
        if not until_interrupted(
            lambda: self.trainer.test(model, verbose=not ours, **kwargs), lambda: self.result.interrupted
        ):
            raise TrainingInterrupted("Interrupted.")
        if self.trainer.is_global_zero and self.result.topk:
            rich.get_console().print(result_table(self.result))


_DEFAULTS: dict[str, type] = {"model": TopKClassifier, "data": EmojiDataModule}


def _class_names(data: LightningDataModule) -> Any:
    """Return the class names of a data module; None for one that has none."""
    return getattr(data, "class_names", None)


def _class_of(config: Namespace) -> type:
    found: type = pkgutil.resolve_name(config.class_path)
    return found


def _prepare_as_trained(data: Namespace, preprocessing: dict[str, Any] | None) -> None:
    """Fill in how the images of the checkpoint were prepared; another way that was asked for is an error."""
    if preprocessing is None:
        return
    trained = {
        "image_size": preprocessing["image_size"],
        "resize": preprocessing["resize"],
        "statistics": [preprocessing["mean"], preprocessing["std"]],
    }
    defaults = inspect.signature(_class_of(data)).parameters
    for name, value in trained.items():
        given = data.init_args.get(name)
        if given not in (value, defaults[name].default):
            raise preprocessing_of_checkpoint(name, value, given)
        data.init_args[name] = value
