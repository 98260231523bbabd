"""The file of a checkpoint: wherever it comes from, it lies here before it is read."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any, cast

import fsspec

from topk_lightning._checks import InvalidValueError, UserError, must
from topk_lightning._files import check_archive

__all__ = ["check_file_of_trainer", "content_of", "local_file"]


def check_file_of_trainer(module: Any) -> None:
    """Check the checksums of the file from which a trainer reads the state of a module, before any of it is used.

    Raises:
        ValueError: a damaged file.
    """
    path = getattr(getattr(module, "_trainer", None), "ckpt_path", None)
    if path is not None and os.path.isfile(path):
        check_archive(path, "ckpt_path", "be a checkpoint that a training saved")


@contextlib.contextmanager
def local_file(given: Any) -> Iterator[str | Path]:
    """Yield the path of a checkpoint that is a file here, an address or an open file; what is not here is copied first."""
    if isinstance(given, str | Path) and "://" not in str(given):
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.ckpt")
        with path.open("wb") as copy:
            if hasattr(given, "read"):
                shutil.copyfileobj(cast("IO[bytes]", given), copy)
            else:
                with fsspec.open(str(given), "rb") as source:
                    shutil.copyfileobj(source, copy)
        yield path


@contextlib.contextmanager
def content_of(given: Any, own: Collection[str]) -> Iterator[None]:
    """Within it, what odd content of a checkpoint makes fail is one sentence.

    Where the caller has arguments of their `own` for the constructor, only weights that do not fit are: the rest may be
    their doing.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if own and not isinstance(error, RuntimeError):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:100]
        file = repr(str(given)) if isinstance(given, str | Path) else "an open file"
        requirement = "be a checkpoint whose options and weights fit together"
        raise InvalidValueError(must("checkpoint_path", requirement, f"{file} ({reason})")) from error
