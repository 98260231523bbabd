"""Names of strangers reach the terminal as text, whichever way they get there."""

from __future__ import annotations

import sys
import warnings

import pytest

from topk_lightning.cli._finish import say
from topk_lightning.cli._running import run_command
from topk_lightning.data import LeftOutWarning

NAME = "a\x1b]0;owned\x07\u202egnp"
SHOWN = r"a\x1b]0;owned\x07\u202egnp"


def test_what_was_written_where(capsys):
    say([("report", NAME)])
    assert capsys.readouterr().out == f"report: {SHOWN}\n"


@pytest.mark.filterwarnings("always")
def test_warnings(capsys, monkeypatch):
    def told(message, category, filename, lineno, file=None, line=None):  # as Python does where nobody records them
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))

    monkeypatch.setattr(warnings, "showwarning", told)
    assert run_command(lambda: warnings.warn(f"{NAME} cannot be read", stacklevel=1)) == 0
    said = capsys.readouterr().err
    assert f"UserWarning: {SHOWN} cannot be read" in said
    assert "\x1b" not in said
    assert run_command(lambda: warnings.warn(NAME, LeftOutWarning, stacklevel=1)) == 0
    assert capsys.readouterr().err == f"warning: {SHOWN}\n"
