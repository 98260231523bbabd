"""Lightning's command line with our classifier and data: what ``fit`` and ``test`` do once all is written as options."""

from __future__ import annotations

import contextlib
import inspect
import os
import pkgutil
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jsonargparse import ActionConfigFile, Namespace
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from topk_lightning import callbacks as our_callbacks, data, losses, schedules
from topk_lightning._checks import InvalidValueError, MissingFileError, must
from topk_lightning._files import check_archive, read_archive, utf8, write_file
from topk_lightning.classifier import TopKClassifier
from topk_lightning.cli._before_training import bad_image_by_options, find_lr, write_batch
from topk_lightning.cli._errors import UsageError, usage
from topk_lightning.cli._finish import finish_training, say, say_how_to_go_on, show_test
from topk_lightning.cli._lightning_parser import FitParser, check_class_paths, check_loss_options
from topk_lightning.cli._loggers import logger_options
from topk_lightning.cli._progress import LookBar, shows_progress
from topk_lightning.cli._quiet import quiet_lightning
from topk_lightning.cli._running import until_stopped
from topk_lightning.cli._runs import BATCH, BEST, CONFIG, LAST, new_run, newest_run, run_name, sole_training
from topk_lightning.cli._stops import Stopped
from topk_lightning.cli._test_result import TestResult
from topk_lightning.cli._trained_data import preparation
from topk_lightning.cli._trainer import as_list, check_processes, fit_callbacks, trainer_options
from topk_lightning.data import ImageDataModuleBase
from topk_lightning.prediction import read_checkpoint

__all__ = ["FitAndTest", "run"]

# The folders in which this process trains.
_LOCKS = contextlib.ExitStack()

#: Passes through the training images where nothing else ends a training.
EPOCHS = 30


def run(words: Sequence[str]) -> None:
    """Run ``fit`` or ``test`` with the words of Lightning's command line."""
    # A name alone is found among the classes that were imported.
    for module in (our_callbacks, data, losses, schedules):
        for name in module.__all__:
            getattr(module, name)
    check_loss_options(words)
    release = {"version": version("topk-lightning")}
    with quiet_lightning(), _LOCKS, bad_image_by_options():
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
            save_config_callback=None,
            # An option is what it is called: a shortened one may mean another tomorrow.
            parser_kwargs={"prog": "topk-lightning", "allow_abbrev": False, "fit": release, "test": release},
            args=list(words),
        )


class FitAndTest(LightningCLI):
    """Train or test any module and data by class path."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return the commands, with the arguments of the trainer's methods that are filled in here."""
        return {
            "fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule"},
            "test": {"model", "dataloaders", "datamodule", "verbose"},
        }

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Return a parser that says mistakes in one sentence."""
        kwargs.setdefault("dump_header", [f"topk-lightning {version('topk-lightning')}"])
        parser = FitParser(**kwargs)
        parser.add_argument("-c", "--config", action=ActionConfigFile, help="yaml file with any of these options")
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what a run is called and ends with, and let the data name the classes."""
        parser.add_argument("--out", type=str | None, default=None, help="folder of the run (default: runs/NAME)")
        parser.add_argument("--report", type=bool, default=True, help="test at the end and write report.html")
        parser.add_argument("--find_lr", type=bool, default=False, help="look for a learning rate before training")
        parser.add_argument("--show_batch", type=bool, default=False, help="only write a picture of a training batch")
        parser.add_argument("--logger", type=str | None, default=None, help="tensorboard, csv or wandb (offline)")
        parser.link_arguments("data", "model.init_args.class_names", compute_fn=_class_names, apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the words that were given; Lightning's own method warns where the program's words differ."""
        try:
            self.config = parser.parse_args(args)
        except UnicodeDecodeError as error:
            raise UsageError(must("--config", "be a yaml file in UTF-8", "another one")) from error

    def _parse_ckpt_path(self) -> None:
        """Take the options from the configuration alone; a test builds the classifier from its checkpoint."""

    def before_instantiate_classes(self) -> None:
        """Find the run's folder and the checkpoint, and let a test prepare the images as the checkpoint was trained."""
        self.result = TestResult()
        config = self.config[self.subcommand]
        with usage():
            check_class_paths(config)
        check_processes(config.trainer)
        if self.subcommand == "fit":
            clip = config.trainer.gradient_clip_val
            if clip is not None and not clip >= 0:  # the trainer would not clip, and say nothing
                raise UsageError(must("--clip", "be a number of at least 0", clip))
            limits = (config.trainer.max_epochs, config.trainer.max_time, config.trainer.fast_dev_run or None)
            if all(limit is None for limit in limits) and config.trainer.max_steps in (-1, None):
                config.trainer.max_epochs = EPOCHS
            self._find_run(config)
            return
        path = _existing_checkpoint(config.ckpt_path)
        if issubclass(_class_of(config.model), TopKClassifier) and issubclass(
            _class_of(config.data), ImageDataModuleBase
        ):
            _prepare_as_trained(config.data, read_checkpoint(path)[1].get("preprocessing"))

    def _find_run(self, config: Namespace) -> None:
        """Set the folder, and where to go on from."""
        given = config.out or config.trainer.default_root_dir
        # Before anything of this run is filled in: the same file gives the same training again, in a folder of its own.
        saved = config.clone()
        saved.out = saved.ckpt_path = saved.trainer.default_root_dir = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # newer parsers say skip_unset
            self.saved_config = self._parser(self.subcommand).dump(saved, skip_none=False)
        name, resumed = run_name(config), config.ckpt_path == "last"
        folder = Path(given) if given else newest_run(name) if resumed else new_run(name)
        if resumed:
            last = None if folder is None else folder / LAST
            if last is None or not last.is_file():
                where = repr(str(folder or Path("runs") / name))
                raise MissingFileError(must("--resume", f"find {LAST} of an earlier run", f"none in {where}"))
            config.ckpt_path = str(last)
        self.folder = folder or new_run(name)
        if os.environ.get("LOCAL_RANK", "0") == "0":
            _LOCKS.enter_context(sole_training(self.folder))
        if not resumed and config.ckpt_path is None and any((self.folder / file).exists() for file in (BEST, LAST)):
            remedy = "Go on with it by --resume, or name another folder."
            raise UsageError(must("--out", "be a folder without a run", repr(str(self.folder)), remedy))
        if config.weights_only is None:
            config.weights_only = True
        if config.ckpt_path is not None:
            read = read_archive if config.weights_only else check_archive
            read(_existing_checkpoint(config.ckpt_path), "ckpt_path", "be a checkpoint that a training saved")
        config.trainer.default_root_dir = str(self.folder)

    def instantiate_classes(self) -> None:
        """Build trainer, model and data; what they refuse is a wrong word of the command line."""
        with usage():
            super().instantiate_classes()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Return the trainer, with the callbacks that the configuration lacks."""
        config = self._get(self.config_init, "trainer")
        callbacks = as_list(config.get("callbacks"))
        if self.subcommand == "test":  # nothing is saved
            callbacks = [callback for callback in callbacks if not isinstance(callback, Checkpoint)] + [self.result]
            kwargs["enable_checkpointing"] = False
        else:
            monitor = "val/loss" if isinstance(self.model, TopKClassifier) else None
            saves = config.get("enable_checkpointing") is not False and not config.get("fast_dev_run")
            callbacks = fit_callbacks(callbacks, self.folder, monitor, saves)
            kwargs |= logger_options(self._get(self.config, "logger"), self.folder, callbacks)
        if isinstance(self.datamodule, ImageDataModuleBase) and shows_progress():
            self.datamodule.on_look = LookBar()
        trainer: Trainer = super().instantiate_trainer(**{**kwargs, **trainer_options(config, callbacks)})
        return trainer

    def fit(self, model: LightningModule, **kwargs: Any) -> None:
        """Train, test, write the report, and say what was written where and what to type next."""
        if self._get(self.config, "show_batch"):
            write_batch(model, self.datamodule, self.folder / BATCH)
            say([("batch", str(self.folder / BATCH))])
            return
        if self.trainer.is_global_zero:
            write_file(self.folder / CONFIG, utf8(self.saved_config))

        def find_and_fit() -> None:
            if self._get(self.config, "find_lr") and kwargs.get("ckpt_path") is None:
                say([("learning rate", f"{find_lr(self.trainer, model, self.datamodule):.2g}")])
            self.trainer.fit(model, **kwargs)

        if not until_stopped(find_and_fit):
            raise Stopped(say_how_to_go_on(self.folder, self.trainer))
        facts = {"Seed": str(self._get(self.config, "seed_everything"))}
        finish_training(self.trainer, model, self.folder, self._get(self.config, "report"), facts)

    def test(self, model: LightningModule, ckpt_path: str, **kwargs: Any) -> None:
        """Test a checkpoint and show the accuracies with their intervals beside chance."""
        ours = isinstance(model, TopKClassifier)
        if isinstance(model, TopKClassifier):
            model = TopKClassifier.load_from_checkpoint(ckpt_path, map_location="cpu")
        else:
            kwargs["ckpt_path"] = ckpt_path
        if not until_stopped(lambda: self.trainer.test(model, verbose=not ours, **kwargs)):
            raise Stopped
        show_test(self.trainer, self.result)


def _class_names(data: LightningDataModule) -> Any:
    """Return the class names of a data module; None for one that has none."""
    return getattr(data, "class_names", None)


def _class_of(config: Namespace) -> type:
    named_class: type = pkgutil.resolve_name(config.class_path)
    return named_class


def _existing_checkpoint(path: object) -> Path:
    if path is None:
        raise UsageError(must("ckpt_path", "be given for a test", None, "Type topk-lightning test CHECKPOINT."))
    if not Path(str(path)).is_file():
        raise MissingFileError(must("ckpt_path", "be an existing file", repr(str(path))))
    return Path(str(path))


def _prepare_as_trained(data: Namespace, preprocessing: dict[str, Any] | None) -> None:
    """Fill in how the images of the checkpoint were prepared; another way that was asked for is an error."""
    kind = _class_of(data)
    defaults = inspect.signature(kind).parameters
    for name, value in preparation(kind, {"preprocessing": preprocessing}).items():
        given = data.init_args.get(name)
        if given not in (value, defaults[name].default):
            remedy = "Leave it out: a test takes it from the checkpoint."
            raise InvalidValueError(
                must(f"data.{name}", f"be {value!r}, as the checkpoint was trained", repr(given), remedy)
            )
        data.init_args[name] = value
