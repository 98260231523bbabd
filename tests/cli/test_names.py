"""Names of strangers reach the terminal as text, whichever way they get there."""

from __future__ import annotations

import sys
import warnings

import pytest
import pytorch_lightning
from lightning_fabric.utilities.warnings import _custom_format_warning

import topk_lightning.data
from topk_lightning.cli._finish import say
from topk_lightning.cli._quiet import quiet_lightning
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

    def told_by_lightning():
        with quiet_lightning():
            warnings.warn_explicit(NAME, LeftOutWarning, pytorch_lightning.__file__, 1)

    monkeypatch.setattr(warnings, "formatwarning", _custom_format_warning)
    assert run_command(told_by_lightning) == 0
    assert capsys.readouterr().err == f"warning: {SHOWN}\n"

    def told_after_an_import():
        monkeypatch.setattr(warnings, "formatwarning", _custom_format_warning)  # as lightning.fabric does
        warnings.warn(NAME, LeftOutWarning, stacklevel=1)

    assert run_command(told_after_an_import) == 0
    assert capsys.readouterr().err == f"warning: {SHOWN}\n"


@pytest.mark.filterwarnings("always")
def test_a_warning_of_ours_names_no_line_of_code(capsys, monkeypatch):
    """Whatever its category is: what is warned of are the user's files."""
    monkeypatch.setattr(warnings, "showwarning", lambda *told: sys.stderr.write(warnings.formatwarning(*told[:4])))

    def command():
        for file in (topk_lightning.data.__file__, "theirs.py"):
            warnings.warn_explicit("Look.", UserWarning, file, 3)

    assert run_command(command) == 0
    assert capsys.readouterr().err.splitlines()[:2] == ["warning: Look.", "theirs.py:3: UserWarning: Look."]
