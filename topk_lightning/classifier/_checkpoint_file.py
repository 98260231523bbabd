"""The file of a checkpoint: wherever it comes from, it lies here before it is read."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import fsspec

__all__ = ["local_file"]


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
