"""``topk-lightning fit``: from a folder of images to a report, or any module and data by a yaml file."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from importlib.metadata import version

from topk_lightning.cli._words import DEFAULT_MODEL, FOLDER_DATA, FitHelp, long_words

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
        with contextlib.suppress(SystemExit) if everything else contextlib.nullcontext():
            run(["fit", *long])
