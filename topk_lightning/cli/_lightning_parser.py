"""The parser of ``fit``: Lightning's, with mistakes in one sentence and a help of the class that is named."""

from __future__ import annotations

import inspect
import re
import sys
from argparse import Action
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NoReturn

from jsonargparse import DefaultHelpFormatter, Namespace
from pytorch_lightning.cli import LightningArgumentParser
from torch.nn.modules.loss import _Loss

from topk_lightning import losses
from topk_lightning._checks import must, shown
from topk_lightning.cli._errors import UsageError, nearest
from topk_lightning.cli._parser import OneSentence, with_subclasses
from topk_lightning.networks.class_paths import import_class

__all__ = ["FitParser", "check_class_paths", "check_loss_options"]

# Of Python's own modules those whose classes are values, such as a time.
_VALUES = ("collections", "datetime", "decimal", "fractions", "pathlib")
# What a yaml file of fit begins with.
_GROUPS = ("ckpt_path", "data", "logger", "model", "out", "report", "seed_everything", "trainer")


class _Help(DefaultHelpFormatter):
    """A help without the hundreds of classes that derive from what an option takes."""

    def _get_help_string(self, action: Action) -> str:
        return re.sub(r", known subclasses: [^()]*", "", super()._get_help_string(action))


class FitParser(OneSentence, LightningArgumentParser):
    """Lightning's parser, with mistakes in one sentence."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"prog": "topk-lightning fit", "formatter_class": _Help, **kwargs})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong with a yaml file; other mistakes as every parser here does."""
        unknown = re.search(r"does not accept option '([\w.]+)'", message)
        if unknown is not None:
            remedy = nearest(unknown[1].partition(".")[0], _GROUPS)
            raise UsageError(must("--config", "hold options of fit", repr(unknown[1]), remedy)) from ex
        if re.match(r"Problems? parsing config|Unexpected config", message):
            reason = " ".join(message.partition("config:")[2].split()) or "nothing"
            raise UsageError(
                must("--config", "be a yaml file of options, name: value", reason[:200].rstrip("."))
            ) from ex
        super().error(message, ex)


def check_loss_options(words: Sequence[str]) -> None:
    """Raise for an option that the loss does not have, or of no loss; the parser takes it for one of any callable.

    Args:
        words: long words of ``fit``.
    """
    values = {word.partition("=")[0]: word.partition("=")[2] or after for word, after in pairwise([*words, ""])}
    name = values.get("--model.loss", "")
    kinds = {
        kind.__name__: kind for kind in (*with_subclasses(_Loss), *(getattr(losses, name) for name in losses.__all__))
    }
    kind = kinds.get(name.rpartition(".")[2])
    is_named = bool(name) or not {"--config", "-c", "--model.loss.class_path"}.isdisjoint(values)
    for option in values:
        taken = option.removeprefix("--model.loss.")
        if taken != option and taken != "help" and not is_named:
            raise UsageError(must("--loss", f"be given with {option}", "none", "Its name says whose option it is."))
        if kind is not None and taken != option and taken not in ("init_args", "class_path", "help"):
            known = inspect.signature(kind).parameters
            if taken.removeprefix("init_args.") not in known:
                remedy = nearest(taken, known).replace("Did you mean ", "Did you mean --model.loss.")
                raise UsageError(must(option, f"be an option of {kind.__name__}", "an unknown one", remedy))


def check_class_paths(config: Any, name: str = "", ours: bool = False) -> None:
    """Raise, before anything is called, for a class path of another kind than is asked for.

    Where any callable would do, the parser calls what it is given, be it ``os.system``.

    Args:
        config: what was parsed, or a part of it.
        name: of the option that it is.
        ours: whether it is an option of a class of this library.
    """
    if isinstance(config, list | tuple):
        for part in config:
            check_class_paths(part, name, ours)
    if not isinstance(config, Namespace | dict):
        return
    path = config.get("class_path")
    if isinstance(path, str):
        if ours and name in ("optimizer", "schedule"):
            made = import_class(name, path)
            if name == "schedule" and not isinstance(made, type) and config.get("init_args"):
                wrong = f"{shown(path)} with arguments, with which it would be called now"
                raise UsageError(must(name, "be a Schedule class, or a function alone", wrong))
        elif path.partition(".")[0] in sys.stdlib_module_names.difference(_VALUES):
            raise UsageError(must(name, "be the import path of a class that fits there", shown(path)))
        ours = path.startswith("topk_lightning.")
    for key, value in (vars(config) if isinstance(config, Namespace) else config).items():
        check_class_paths(value, name if key == "init_args" else str(key), ours)
