"""What was seen of image files, kept in the user's cache folder: numbers only, found again by name, size and time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import PIL

from topk_lightning._files import replacing
from topk_lightning.data._inspection import Look

__all__ = ["LookCache", "cache_folder"]


def cache_folder() -> Path:
    """Return the folder of the user for files that may be deleted at any time."""
    if sys.platform == "win32":
        parent = os.environ.get("LOCALAPPDATA")
    else:
        parent = os.environ.get("XDG_CACHE_HOME")
    return Path(parent or Path.home() / ".cache") / "topk-lightning"


class LookCache:
    """The looks at the files of one data set, for one way of looking.

    One row of int64 a file: a digest of its name, its size, its time of change, and the look. A file that was changed is
    looked at again; a cache that cannot be read or written is none.

    Args:
        root: folder of the data set.
        way: what else the looks depend on, such as the image size.
    """

    def __init__(self, root: Path, way: str) -> None:
        self.root = root
        key = hashlib.sha256(f"{os.path.realpath(root)}\n{way}\n{PIL.__version__}".encode(errors="surrogateescape"))
        self.path = cache_folder() / "looks" / f"{key.hexdigest()[:32]}.npy"
        self._rows: dict[tuple[int, int, int], list[int]] = {}
        self._keys: dict[str, tuple[int, int, int] | None] = {}
        with contextlib.suppress(OSError, ValueError, EOFError):
            for row in np.load(self.path, allow_pickle=False).reshape(-1, 11).tolist():
                self._rows[row[0], row[1], row[2]] = row[3:]

    def find(self, name: str) -> Look | None:
        """Return what was seen of a file, or None if it was not seen as it is now."""
        key = self._keys[name] = self._key(name)
        row = self._rows.get(key) if key else None
        return None if row is None else Look(row[0], row[1], tuple(row[2:5]), tuple(row[5:8]))

    def keep(self, looks: Mapping[str, Look]) -> None:
        """Write the looks at files that were asked for: as they were then, so that one changed since is looked at again."""
        rows = [
            (*key, look.digest, look.pixels, *look.sums, *look.squares)
            for name, look in looks.items()
            if (key := self._keys.get(name)) is not None
        ]
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as part, part.open("wb") as file:
                np.save(file, np.array(rows, dtype=np.int64), allow_pickle=False)

    def _key(self, name: str) -> tuple[int, int, int] | None:
        with contextlib.suppress(OSError):
            status = os.stat(os.path.join(self.root, name))
            digest = hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest()
            return int.from_bytes(digest, "big", signed=True), status.st_size, status.st_mtime_ns
        return None
