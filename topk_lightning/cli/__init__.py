"""The command line: ``topk-lightning demo | fit | test | report | predict | serve``.

Each command lives in its own file and is imported when it is called, so that the others cost it nothing.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import version

from topk_lightning.cli.running import run_command

__all__ = ["main"]

#: What each command does, and the module whose ``main(arguments)`` does it.
COMMANDS = {
    "demo": ("train, test and predict on the embedded emoji, in a few minutes", "topk_lightning.cli.demo"),
    "fit": ("train a classifier from a yaml file and options", "topk_lightning.cli.fit"),
    "test": ("measure a checkpoint on the test images", "topk_lightning.cli.fit"),
    "report": ("test a checkpoint and write a page about it", "topk_lightning.cli.report"),
    "predict": ("name the k best classes of images", "topk_lightning.cli.predict"),
    "serve": ("show a page where a picture is dropped and its k best classes appear", "topk_lightning.cli.serve"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 done, 1 an error said in one sentence, 2 wrong usage, 130 Ctrl-C.

    Args:
        arguments: the words after the program's name; None: those of the command line.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in COMMANDS:
        module = COMMANDS[words[0]][1]
        return run_command(lambda: importlib.import_module(module).main(words))
    # Anything else is no command: help, version, or a mistake that the parser explains.
    return run_command(lambda: _parser().parse_args(words or ["--help"]))


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<9} {summary}" for name, (summary, _) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="topk-lightning",
        description="Train, measure and use image classifiers by their k best guesses.",
        epilog=f"commands:\n{listed}\n\ntopk-lightning COMMAND --help says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"topk-lightning {version('topk-lightning')}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    return parser
