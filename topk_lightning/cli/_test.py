"""``topk-lightning test``: measure a checkpoint on the test images of its training, or by a yaml file."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from topk_lightning.cli._runs import checkpoint_of
from topk_lightning.cli._words import long_words

__all__ = ["main"]

_HELP = """usage: topk-lightning test CHECKPOINT [options]

Measure a checkpoint, or the best one of the folder of a run, on the test images of its training.
Options of fit say another source, for example --data.root photos/.
topk-lightning test --config FILE --ckpt_path CHECKPOINT tests any module and data.
"""


def main(words: Sequence[str]) -> None:
    """Test by the words of the command line."""
    given = list(words[1:])
    if given in (["--help"], ["-h"]):
        sys.stdout.write(_HELP)
        return
    if given and not given[0].startswith("-"):
        given = ["--ckpt_path", checkpoint_of(given[0]), *given[1:]]
    given = long_words(given)
    # Only now: help and mistakes need no torch.
    from topk_lightning.cli._lightning_cli import run

    run(["test", *given])
