"""Checks of places to write to, by writing there: what a system refuses is known before any work begins."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from topk_lightning._checks import UserError, must

__all__ = ["UnwritableError", "check_file_place", "check_folder_place", "check_regular", "part_of", "refused_place"]

_FILE, _FOLDER = "be a file that can be written", "be a folder that can be written to"


class UnwritableError(UserError, OSError):
    """A place that cannot be written to."""


def part_of(path: Path) -> Path:
    """Return a path beside another, for what takes its place once it is whole."""
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")


def check_file_place(argument: str, path: str | Path, beside: Sequence[str] = ()) -> None:
    """Raise for a file that could not be written: a byte is written beside it and removed, and so are folders made for it.

    Args:
        argument: whose value the path is, for errors.
        path: the file.
        beside: names of files that will be written beside it; a long one may be too long where its own is not.

    Raises:
        OSError: what the system said, in a sentence.
    """
    with refused_place(argument, path, _FILE):
        where = Path(os.path.realpath(path))
        check_regular(argument, path)
        _try(where.with_name(max((where.name, *beside), key=lambda name: len(os.fsencode(name)))))


def check_folder_place(argument: str, folder: str | Path) -> None:
    """Raise for a folder that no file could be written in; nothing is left there.

    Args:
        argument: whose value the folder is, for errors.
        folder: the folder, made or not.

    Raises:
        OSError: what the system said, in a sentence.
    """
    where = Path(os.path.realpath(folder))
    if os.path.exists(where) and not where.is_dir():
        raise UnwritableError(must(argument, "be a folder", f"{str(folder)!r}, where a file stands"))
    with refused_place(argument, folder, _FOLDER):
        _try(where / "file")


def check_regular(argument: str, path: str | Path) -> None:
    """Raise for what a file cannot take the place of: a folder, a device, a pipe."""
    if os.path.exists(path) and not os.path.isfile(path):
        what = "a folder" if os.path.isdir(path) else "no regular file"
        raise UnwritableError(must(argument, _FILE, f"{str(path)!r}, which is {what}"))


@contextlib.contextmanager
def refused_place(argument: str, path: str | Path, wanted: str = _FOLDER) -> Iterator[None]:
    """Within it, what the system refuses is one sentence that names the argument, the place and the reason."""
    try:
        yield
    except UserError:
        raise
    except (OSError, ValueError) as error:  # a ValueError of a name with a zero byte
        reason = getattr(error, "strerror", None) or str(error)
        raise UnwritableError(must(argument, wanted, f"{str(path)!r} ({reason})")) from error


def _try(where: Path) -> None:
    """Write a byte and take everything back."""
    made = [folder for folder in where.parents if not os.path.lexists(folder)]
    part = part_of(where)
    try:
        try:
            where.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        with part.open("xb") as file:
            file.write(b"\0")
    finally:
        with contextlib.suppress(OSError, ValueError):
            part.unlink(missing_ok=True)
        for folder in made:
            with contextlib.suppress(OSError, ValueError):
                folder.rmdir()
