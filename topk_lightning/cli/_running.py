"""What happens around a command: errors in one sentence, stops, exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from topk_lightning.cli._errors import UsageError, user_sentence
from topk_lightning.cli._quiet import visible_warnings
from topk_lightning.cli._stops import STOPS, Stopped

__all__ = ["run_command", "until_stopped"]


def run_command(command: Callable[[], object]) -> int:
    """Run a command and return the exit status; a user's mistake ends in one sentence, a defect in its traceback."""
    try:
        from topk_lightning.cli._console import visible_console

        with visible_warnings(), visible_console():
            command()
        sys.stdout.flush()
        STOPS.check()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except BaseException as error:
        # What breaks because a stop came at an unlucky moment is no defect.
        if STOPS.signum is not None or isinstance(error, KeyboardInterrupt):
            _say("", str(error) if isinstance(error, Stopped) and str(error) else f"{STOPS.word}.")
            return STOPS.status
        return _status_of(error)
    return 0


def _status_of(error: BaseException) -> int:
    if isinstance(error, SystemExit):  # --help, --version, or a mistake in the options, said already
        return error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    sentence = user_sentence(error)
    if sentence is None:
        raise error
    _say("error: ", sentence)
    return 2 if isinstance(error, UsageError) else 1


def until_stopped(action: Callable[[], Any]) -> bool:
    """Let a trainer work and return whether it came to its end; after a stop, Lightning's own exit is undone.

    Lightning catches Ctrl-C, tells the callbacks, and then exits the process with SIGINT switched off.
    """
    try:
        action()
    except BaseException:
        if STOPS.signum is None:
            raise
    finally:
        STOPS.install()
        STOPS.end_children()
    return STOPS.signum is None


def _say(label: str, sentence: str) -> None:
    from rich.text import Text

    from topk_lightning.cli._console import VisibleConsole

    # Not wrapped by rich: a path broken over two lines could not be copied.
    said = Text.assemble((label, "bold red"), sentence)
    VisibleConsole(stderr=True).print(said, soft_wrap=True, highlight=False)
