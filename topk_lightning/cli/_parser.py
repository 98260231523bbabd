"""A parser of options whose mistakes are one sentence with the nearest right word, and no page of usage."""

from __future__ import annotations

import argparse
import inspect
import math
import pkgutil
import re
from importlib.metadata import version
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from topk_lightning._checks import UserError, must
from topk_lightning.cli._errors import UsageError, chain, nearest, one_line

__all__ = ["OneSentence", "OptionParser", "check_logit_adjustment", "sentence_of", "with_subclasses"]

# What the parser writes around the reasons of a mistake; the reasons are the other lines.
_FRAME = re.compile(
    r"Parser key|Does not validate|Subtypes:|Errors?:$|Given value|Problem with given class_path|Expected a <class 'NoneType'>"
)


class OneSentence:
    """The part of a parser that says a mistake: an error of ours, instead of usage and exit."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the sentence for a mistake in the words of the command line."""
        if not self.exit_on_error:  # type: ignore[attr-defined]  # of a class among the options: a part of what is said
            super().error(message, ex)  # type: ignore[misc]
        raise UsageError(sentence_of(self, message, ex)) from ex


class OptionParser(OneSentence, ArgumentParser):
    """The parser of a command's own options."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(prog=f"topk-lightning {command}", version=version("topk-lightning"), description=description)

    def add_optional(self, name: str, kind: Any, text: str, metavar: str | None = None) -> None:
        """Add an option that is None where it is not given."""
        self.add_argument(name, type=kind | None, default=None, help=text, metavar=metavar)

    def add_checkpoint(self, also: str = "") -> None:
        """Add the checkpoint, the first word of a command."""
        text = "file that a training of TopKClassifier saved, or the folder of a run"
        self.add_argument("checkpoint", type=str, help=f"{text}{also}")

    def add_network_options(self) -> None:
        """Add what a checkpoint may need that names no network, or one of another package."""
        self.add_optional(
            "--network",
            str,
            "function that returns the network, for a checkpoint that cannot name it",
            metavar="PACKAGE.MODULE:FUNCTION",
        )
        self.add_argument(
            "--trust",
            action="append",
            default=[],
            metavar="PACKAGE",
            help="package that the checkpoint may name; importing it runs its code",
        )

    def add_max_pixels(self) -> None:
        """Add the bound on the pixels of an image."""
        self.add_optional(
            "--max-pixels",
            int,
            "of an image, as its file says and once it is resized (default: 178956970); a larger one is not read",
            metavar="N",
        )

    def add_spreadsheet_safe(self) -> None:
        """Add what a csv file does with names that a spreadsheet would take for formulas."""
        self.add_argument(
            "--spreadsheet-safe", action="store_true", help="csv: no cell that a spreadsheet would take for a formula"
        )

    def add_logit_adjustment(self) -> None:
        """Add the adjustment of a trained model's scores for classes of unequal frequency."""
        self.add_argument(
            "--logit-adjustment",
            type=float,
            default=0.0,
            metavar="STRENGTH",
            help="scores as if all classes had been equally frequent in training (1; default 0: as they are)",
        )


def check_logit_adjustment(strength: float) -> None:
    """Raise unless the strength is a number of at least 0."""
    if not 0 <= strength < math.inf:
        raise UsageError(must("--logit-adjustment", "be a finite number of at least 0", strength))


def sentence_of(parser: Any, message: str, error: BaseException | None) -> str:
    """Return the one sentence for what a parser says at length."""
    for cause in chain(error):
        if isinstance(cause, UserError):
            return str(cause)
    text = "\n".join([message, *(str(cause) for cause in chain(error))])
    keys = re.findall(r"""Parser key "([\w.]+)"|argument --([\w.-]+)""", text)
    key = "".join(keys[0]) if keys else ""
    given = re.search(r"NestedArg\(key='([\w.]+)', val=(.*)\)", text)
    option = f"--{key}.{given[1]}" if given else f"--{key}"
    if option.replace("_", "-") in _options(parser):  # a command's own option, as it is written
        option = option.replace("_", "-")
    kinds = re.findall(r"Problem with given class_path '([^']+)'", text)
    for say in (_unknown_word, _unknown_option, _missing, _no_class, _no_choice, _wrong_value):
        said = say(parser, text, option, key, kinds)
        if said:
            return said
    reasons = [line.strip(" -") for line in text.splitlines() if line.strip() and not _FRAME.search(line)]
    return one_line(reasons[0] if reasons else message)


def _unknown_word(parser: Any, text: str, option: str, key: str, kinds: list[str]) -> str:
    match = re.match(r"[Uu]nrecognized arguments: (.*)", text)
    if match is None:
        return ""
    words = match[1].split()
    word = next((word for word in words if word.startswith("-")), words[0])
    remedy = nearest(word.partition("=")[0], _options(parser)) or "--help lists them."
    return must(word, f"be an option of {parser.prog.replace(' [options]', '')}", "an unknown one", remedy)


def _unknown_option(parser: Any, text: str, option: str, key: str, kinds: list[str]) -> str:
    match = re.search(r"Option '([\w.]+)' is not accepted", text)
    if match is None or not kinds:
        return ""
    kind = kinds[-1]
    taken = inspect.signature(pkgutil.resolve_name(kind)).parameters
    name = match[1].rpartition(".")[2]
    if name in taken:  # the class knows it; what it derives from does not
        return ""
    remedy = nearest(name, taken).replace("Did you mean ", f"Did you mean --{key}.")
    return must(f"--{key}.{name}", f"be an option of {kind.rpartition('.')[2]}", "an unknown one", remedy)


def _missing(parser: Any, text: str, option: str, key: str, kinds: list[str]) -> str:
    match = re.search(r"the following arguments are required: (.+)", text)
    if match is None:
        match = re.search(r'Option "?([\w.]+)"? is required', text)
    if match is None:
        return ""
    names = match[1].split(",")
    who = kinds[-1].rpartition(".")[2] if kinds else parser.prog
    wanted = names[0].strip().strip("\"'")
    add = f"Add --{key}.{wanted}." if kinds else ""
    return must(who, f"be given {match[1]}", "none", add)


def _no_class(parser: Any, text: str, option: str, key: str, kinds: list[str]) -> str:
    match = re.search(
        r"Expected a dot import path string: (\S+)|Import path (\S+) does not|No module named '([^']+)'|(?:No|module) \S+ (?:has no )?attribute '?(\w+)",
        text,
    )
    if match is None and not (option.endswith(".loss") and "val='" in text):
        return ""
    given = re.search(r"val='([^']*)'", text) or re.search(r"Given value: (\S+)$", text, re.MULTILINE)
    word = given[1].strip("'\"") if given else next(name for name in match.groups() if name)  # type: ignore[union-attr]
    choices = _choices(text)
    remedy = nearest(word.rpartition(".")[2], {*_class_names(option), *choices})
    what = "the name or import path of a class that fits there"
    listed = f"one of {', '.join(choices)}, or {what}" if choices else what
    return must(option, f"be {listed}", repr(word), remedy)


def _choices(text: str) -> list[str]:
    found = re.findall(r"Expected a typing.Literal\[(.*?)\]", text)
    return list(dict.fromkeys(word.strip(" '\"") for choice in found for word in choice.split(",")))


def _no_choice(parser: Any, text: str, option: str, key: str, kinds: list[str]) -> str:
    match = re.search(r"invalid choice: (.*) \(choose from (.*)\)", text)
    if match is None:
        return must(option, "be followed by its value", "none") if "expected one argument" in text else ""
    word, listed = match[1].strip("'"), [choice.strip(" '") for choice in match[2].split(",")]
    return must(option, f"be one of {', '.join(map(repr, listed))}", repr(word), nearest(word, listed))


def _wrong_value(parser: Any, text: str, option: str, key: str, kinds: list[str]) -> str:
    given = (
        re.search(r"val=(.*)\)\s*$", text, re.MULTILINE)
        or re.search(r"Given value: (.*)", text)
        or re.search(r"Got value: (.*)", text)
    )
    expected = re.findall(r"Expected a <class '(\w+)'>", text)
    names = {"float": "a number", "int": "a whole number", "bool": "true or false", "str": "a text"}
    listed = _choices(text)
    if listed and given is not None:
        return must(option, f"be one of {', '.join(listed)}", repr(given[1]), nearest(given[1], listed))
    if kinds and not key.startswith("trainer"):
        taken = inspect.signature(pkgutil.resolve_name(kinds[-1])).parameters.get(option.rpartition(".")[2])
        expected += [name for name in names if taken is not None and re.search(rf"\b{name}\b", str(taken.annotation))]
    wanted = next((names[name] for name in names if name in expected), "")
    if given is None:
        match = re.search(r"invalid \w+ value: .*", text)
        return "" if match is None else one_line(text)
    if not wanted:
        return ""
    value = given[1][:80]
    return must(option, f"be {wanted}", value if value.startswith(("'", '"')) else repr(value))


def _options(parser: Any) -> list[str]:
    options_found: list[str] = []
    for action in parser._actions:
        options_found += action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for choice in action.choices.values():
                options_found += _options(choice)
    return [name for name in options_found if name.startswith("--")]


def _class_names(option: str) -> set[str]:
    """Return the names of the classes that an option takes, as far as they are imported."""
    from pytorch_lightning import Callback, LightningDataModule, LightningModule
    from pytorch_lightning.loggers import Logger
    from torch.nn.modules.loss import _Loss

    from topk_lightning import losses, schedules

    roots: dict[str, Any] = {
        "callbacks": Callback,
        "logger": Logger,
        "data": LightningDataModule,
        "model": LightningModule,
        "schedule": schedules.Schedule,
    }
    if option.endswith("loss"):
        return {
            *(name for name in losses.__all__ if name.endswith("Loss")),
            *(kind.__name__ for kind in with_subclasses(_Loss)),
        }
    root = roots.get(option.rpartition(".")[2].strip("-"))
    return (
        set()
        if root is None
        else {kind.__name__ for kind in with_subclasses(root) if not kind.__name__.startswith("_")}
    )


def with_subclasses(kind: Any) -> set[Any]:
    """Return a class and all that derive from it."""
    return {kind}.union(*map(with_subclasses, kind.__subclasses__()))
