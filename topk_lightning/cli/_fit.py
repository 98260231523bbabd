"""``topk-lightning fit``: from a folder of images to a report, or any module and data by a yaml file."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version

from topk_lightning._checks import UserError, must
from topk_lightning.cli._errors import chain, nearest, one_line
from topk_lightning.cli._words import DEFAULT_MODEL, FOLDER_DATA, LONG, FitHelp, long_words

__all__ = ["main"]

# Whose help is shown where no class is named.
_HELP_OF = {"--model.help": [DEFAULT_MODEL], "--data.help": [FOLDER_DATA]}
_ALL = [["--help"], *([option, *name] for option, name in _HELP_OF.items())]


def main(words: Sequence[str]) -> None:
    """Train by the words of the command line."""
    if list(words[1:]) in (["--help"], ["-h"]):
        sys.stdout.write(str(FitHelp()))
        return
    if list(words[1:]) == ["--version"]:
        sys.stdout.write(f"topk-lightning {version('topk-lightning')}\n")
        return
    everything = list(words[1:]) in (["--help", "all"], ["--help=all"])
    calls = _ALL if everything else [long_words([*words[1:], *_HELP_OF.get(words[-1], ())])]
    # Only now: help and mistakes need no torch.
    from topk_lightning.cli._lightning_cli import run

    for long in calls:
        # A help ends the program, but there may be another.
        with contextlib.suppress(SystemExit) if everything else contextlib.nullcontext(), _names_as_typed(words):
            run(["fit", *long])


@contextlib.contextmanager
def _names_as_typed(words: Sequence[str]) -> Iterator[None]:
    """Within it, a mistake names the short option that was typed, not the long one that it stands for."""
    try:
        yield
    except Exception as error:
        for cause in chain(error):
            if isinstance(cause, UserError):
                cause.args = (_as_typed(str(cause), words),)
        raise


def _as_typed(sentence: str, words: Sequence[str]) -> str:
    typed = {
        word.partition("=")[0]: word.partition("=")[2] or after
        for word, after in zip(words, [*words[1:], ""], strict=True)
    }
    if "--device" in typed and re.search("accelerator|backend", sentence):
        return _wrong_device(sentence, typed["--device"])
    for short, long in LONG.items():
        for name in (f"--{long}", long.rpartition(".")[2]):
            if f"--{short}" in typed and f"--{long}" not in typed and sentence.startswith(f"{name} must "):
                return f"--{short}{sentence.removeprefix(name)}"
    return sentence


def _wrong_device(sentence: str, given: str) -> str:
    known = re.findall(r"\w+", sentence.partition("names are:")[2])
    if known:
        return must("--device", f"be one of {', '.join(known)}", repr(given), nearest(given, known))
    return must("--device", "be one that works here", f"{given!r} ({one_line(sentence).rstrip('.!')})")
