"""``topk-lightning resume``: go on with a training that was stopped, with the options it had."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from topk_lightning._checks import MissingFileError, must
from topk_lightning.cli._errors import UsageError
from topk_lightning.cli._runs import CONFIG, LAST
from topk_lightning.cli._words import long_words

__all__ = ["main"]

_HELP = """usage: topk-lightning resume RUN [options of fit]

Go on with the training in the folder RUN from its last finished epoch, with the options that it had.
RUN may also be a checkpoint in that folder: the training goes on from there.
Options of fit change it, for example --epochs 50.
"""


def main(words: Sequence[str]) -> None:
    """Go on with the run of the command line."""
    given = list(words[1:])
    if not given or given[0] in ("--help", "-h"):
        if not given:
            raise UsageError(must("resume", "be given the folder of a run", "none"))
        sys.stdout.write(_HELP)
        return
    path, options = Path(given[0]), given[1:]
    folder, checkpoint = (path.parent, str(path)) if path.is_file() else (path, "last")
    if not (folder / CONFIG).is_file() or (checkpoint == "last" and not (folder / LAST).is_file()):
        what = f"{CONFIG} and {LAST}" if checkpoint == "last" else CONFIG
        raise MissingFileError(must("resume", f"be given a folder with {what}", repr(given[0])))
    where = ["--out", str(folder), "--ckpt_path", checkpoint]
    # Only now: help and mistakes need no torch.
    from topk_lightning.cli._lightning_cli import run

    run(["fit", *long_words(["--config", str(folder / CONFIG), *options]), *where])
