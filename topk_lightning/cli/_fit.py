"""``topk-lightning fit``: from a folder of images to a report, or any module and data by a yaml file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version

from topk_lightning.cli._words import FitHelp, long_words

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Train by the words of the command line."""
    if list(words[1:]) in (["--help"], ["-h"]):
        sys.stdout.write(str(FitHelp()))
        return
    if list(words[1:]) == ["--version"]:
        sys.stdout.write(f"topk-lightning {version('topk-lightning')}\n")
        return
    everything = list(words[1:]) in (["--help", "all"], ["--help=all"])
    long = ["--help"] if everything else long_words(words[1:])
    # Only now: help and mistakes need no torch.
    from topk_lightning.cli._lightning_cli import run

    run(["fit", *long])
