"""What happens around a command: errors in one sentence, Ctrl-C, exit status."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.text import Text

from topk_lightning._checks.cli import user_sentence

__all__ = ["INTERRUPTED", "TrainingInterrupted", "run_command", "until_interrupted"]

#: Exit status after Ctrl-C, as shells count it: 128 + SIGINT.
INTERRUPTED = 130


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C during training, with the sentence that says how to go on."""


def run_command(command: Callable[[], object]) -> int:
    """Run a command and return the exit status; a user's mistake ends in one sentence, a defect in its traceback."""
    try:
        command()
        sys.stdout.flush()
    except SystemExit as stop:  # --help, --version, or a mistake in the options, said already
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except KeyboardInterrupt as stop:
        _say(Text(str(stop) or "Interrupted."))
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        sentence = user_sentence(error)
        if sentence is None:
            raise
        _say(Text.assemble(("error: ", "bold red"), sentence))
        return 1
    return 0


def until_interrupted(action: Callable[[], Any], was_interrupted: Callable[[], bool]) -> bool:
    """Let a trainer work and return whether it came to its end; after Ctrl-C, Lightning's own exit is undone.

    Lightning catches Ctrl-C, tells the callbacks, and then either exits the process with SIGINT switched off or
    returns as if nothing had been, depending on its version.

    Args:
        action: calls the trainer.
        was_interrupted: tells afterwards whether a callback saw the interruption.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        action()
    except SystemExit:
        if not was_interrupted():
            raise
    finally:
        if in_main_thread:
            signal.signal(signal.SIGINT, handler)
    return not was_interrupted()


def _say(text: Text) -> None:
    # Not wrapped by rich: a path broken over two lines could not be copied.
    Console(stderr=True).print(text, soft_wrap=True, highlight=False)
