"""Files written whole or not at all, tables as csv, and archives of torch read without running code or unnoticed damage."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import tarfile
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from topk_lightning._checks import InvalidValueError, MissingFileError, must
from topk_lightning._checks.places import check_regular, part_of

__all__ = ["check_archive", "csv_rows", "csv_text", "read_archive", "replacing", "utf8", "write_file"]


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; what was written there takes the place of `path` in one move.

    A reader sees the old file or the new one, and a killed run or a full disk leaves a whole one: the new file is on the
    disk before it is renamed. It takes over the permissions of the old one. After an error it is removed.

    Args:
        path: the file to replace, or to make; where it is a link, the file that it leads to.

    Raises:
        OSError: what writing raised, or what is no file (a device would be replaced, too).
    """
    target = Path(os.path.realpath(path))
    check_regular("path", path)
    part = part_of(target)
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, part)
        os.replace(part, target)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # of a full disk
            error.filename = str(path)
        raise


def write_file(path: str | Path, data: bytes | memoryview) -> None:
    """Write a file in one move, as :func:`replacing` does."""
    with replacing(path) as part:
        part.write_bytes(data)


def utf8(text: str) -> bytes:
    r"""Return a text in UTF-8; a byte of a file's name that is no text there, which Python keeps as half a pair, is written out.

    Examples:
        >>> utf8("caf\xe9"), utf8(os.fsdecode(b"caf\xe9"))
        (b'caf\xc3\xa9', b'caf\\udce9')
    """
    return text.encode(errors="backslashreplace")


def csv_text(rows: Iterable[Iterable[Any]], *, spreadsheet_safe: bool = False) -> str:
    r"""Return rows as csv, a line each that ends in a line feed; every reader gets the cells back as they are.

    Args:
        rows: the cells of each row.
        spreadsheet_safe: put an apostrophe before a text that a spreadsheet would take for a formula. Such a cell is not
            read back as it was.

    Examples:
        >>> csv_text([["a\rb", 1], ['=1+1', "x, y"]], spreadsheet_safe=True)
        '"a\rb",1\n\'=1+1,"x, y"\n'
    """
    lines: list[str] = []
    # A cell with a character of the line's end is quoted, so both are in it.
    table = csv.writer(SimpleNamespace(write=lambda line: lines.append(f"{line[:-2]}\n")), lineterminator="\r\n")
    table.writerows((map(_as_text, row) for row in rows) if spreadsheet_safe else rows)
    return "".join(lines)


def _as_text(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def csv_rows(path: Path, argument: str, wanted: str) -> list[tuple[int, list[str]]]:
    """Return the lines of a csv file that hold anything, each with its number from 1.

    Args:
        path: the file.
        argument: whose value the path is, for errors.
        wanted: what the file must be, for errors: "a csv file, text in UTF-8".

    Raises:
        FileNotFoundError: no file there.
        ValueError: something else than text in UTF-8.
    """
    if not path.is_file():
        raise MissingFileError(must(argument, "be an existing file", repr(str(path))))
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidValueError(must(argument, f"be {wanted}", repr(str(path)))) from error
    return [(number, row) for number, row in enumerate(rows, 1) if any(cell.strip() for cell in row)]


def read_archive(path: str | Path, argument: str, wanted: str, remedy: str = "") -> Any:
    """Return what ``torch.save`` wrote, on the CPU, read with ``weights_only=True``: it runs no code of the file.

    Args:
        path: the file.
        argument: whose value the path is, for errors.
        wanted: what the file must be, for errors: "be a checkpoint that TopKClassifier saved".
        remedy: a sentence that says what to do where it is something else.

    Raises:
        FileNotFoundError: no file there.
        ValueError: a damaged file, something else, or objects besides tensors and plain data.
    """
    has_checksums = check_archive(path, argument, wanted, remedy)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")  # of what is refused anyway
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the bytes of a file that is no archive make torch stumble over
        raise InvalidValueError(must(argument, wanted, repr(str(path)), remedy)) from error
    if not has_checksums:
        warnings.warn(
            f"{argument} {str(path)!r} holds no checksums: damage to its numbers is not noticed.", stacklevel=2
        )
    return content


def _is_tar(path: str | Path) -> bool:
    """Return whether torch would take it for a tar file, which it opens without decompressing it."""
    try:
        with tarfile.open(path, "r:"):
            return True
    except tarfile.TarError:
        return False


def check_archive(path: str | Path, argument: str, wanted: str, remedy: str = "") -> bool:
    """Return whether the file has checksums, all of which hold; raise if one does not. torch checks none itself.

    The zip archive that torch writes keeps a CRC-32 of each tensor; files of torch before 1.6 are none, and
    ``torch.serialization.set_crc32_options(False)`` leaves it out. Reading them all costs about a second a gigabyte.

    Args:
        path: the file.
        argument: whose value the path is, for errors.
        wanted: what the file must be, for errors.
        remedy: a sentence that says what to do where it is something else.

    Raises:
        FileNotFoundError: no file there.
        ValueError: a damaged file, or one that torch did not write.
    """
    if not os.path.isfile(path):
        raise MissingFileError(must(argument, "be an existing file", repr(str(path))))
    foreign = InvalidValueError(must(argument, wanted, repr(str(path)), remedy))
    with open(path, "rb") as file:
        is_zip = file.read(2) == b"PK"
    if not is_zip:
        if _is_tar(path):  # a form of before 2017, which torch up to 2.5 reads by running what it holds
            raise foreign
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if entry.file_size]
            is_plain = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
            has_checksums = any(entry.CRC for entry in entries)
            # What is compressed, as torch writes nothing, may be a thousand times as large as its file.
            damaged = archive.testzip() if is_plain and has_checksums else None
            # What is marked as a folder torch does not read at all: its tensor is whatever stood in memory.
            damaged = damaged or next((entry.filename for entry in entries if entry.external_attr & 0x10), None)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError, RuntimeError) as error:
        raise foreign from error
    if not is_plain:
        raise foreign
    if damaged is not None:
        way_out = "Copy or download it again, or take another one: its numbers cannot be trusted."
        wrong = f"{str(path)!r}, whose {damaged.rpartition('/')[2]!r} does not match its checksum"
        raise InvalidValueError(must(argument, "be an undamaged file", wrong, way_out))
    return has_checksums
