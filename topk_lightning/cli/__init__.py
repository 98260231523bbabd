"""The command line: ``topk-lightning demo | fit | resume | test | report | calibrate | compare | predict | sets | trace | review | export | serve``.

Each command lives in its own file and is imported when it is called, so that the others cost it nothing.
"""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Sequence

from topk_lightning.cli._stops import STOPS, Stopped

__all__ = ["main"]

#: What each command does, and the file of this package whose ``main(words)`` does it.
COMMANDS = {
    "demo": ("train, test and predict on the embedded emoji, in a few minutes", "_demo"),
    "fit": ("train a classifier on a folder of images, test it and write its report", "_fit"),
    "resume": ("go on with a training that was stopped", "_resume"),
    "test": ("measure a checkpoint on the test images", "_test"),
    "report": ("test a checkpoint and write a page about it", "_report"),
    "calibrate": ("fit the temperature under which probabilities mean what they say", "_calibrate"),
    "compare": ("say whether a second model is better on the same images", "_compare"),
    "predict": ("name the k best classes of images", "_predict"),
    "sets": ("find how many names must be shown so that the right one is among them", "_sets"),
    "trace": ("show what each layer of a network does with an image", "_trace"),
    "review": ("say which pictures a person must see, with a promise about the errors", "_review"),
    "export": ("write a model as ONNX, as a program of torch.export or for Hugging Face", "_export"),
    "serve": ("show a page where a picture is dropped and its k best classes appear", "_serve"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    0 done, 1 an error said in one sentence, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM.

    Args:
        arguments: the words after the program's name; None: those of the command line.
    """
    with STOPS if arguments is not None else STOPS.of_a_program():
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
                stream.reconfigure(errors="backslashreplace")  # an ASCII terminal cannot show every name
        words = list(sys.argv[1:] if arguments is None else arguments)
        try:
            from topk_lightning.cli._running import run_command

            return run_command(lambda: _run(words))
        except Stopped:
            sys.stderr.write(f"{STOPS.word}.\n")
            return STOPS.status


def _run(words: list[str]) -> None:
    from topk_lightning._checks import must
    from topk_lightning.cli._errors import UsageError, nearest

    if words and words[0] in COMMANDS:
        importlib.import_module(f"{__name__}.{COMMANDS[words[0]][1]}").main(words)
    elif not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(_help())
    elif words[0] == "--version":
        from importlib.metadata import version

        sys.stdout.write(f"topk-lightning {version('topk-lightning')}\n")
    else:
        remedy = nearest(words[0], COMMANDS) or "topk-lightning --help lists them."
        raise UsageError(must("the first word", "be a command", repr(words[0]), remedy))


def _help() -> str:
    listed = "\n".join(f"  {name:<9} {summary}" for name, (summary, _) in COMMANDS.items())
    return (
        "usage: topk-lightning COMMAND …\n\n"
        "Train, measure and use image classifiers by their k best guesses.\n\n"
        f"commands:\n{listed}\n\n"
        "topk-lightning COMMAND --help says more, topk-lightning --version which version this is.\n"
    )
