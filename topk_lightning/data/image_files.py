"""Find the image files of a folder: one finder for data modules, prediction, reports and the page that is served."""

from __future__ import annotations

import errno
import os
import unicodedata
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from topk_lightning._checks import InvalidValueError, MissingFileError, must

__all__ = [
    "IMAGE_SUFFIXES",
    "ImageFiles",
    "composed",
    "find_images",
    "images_directly_in",
    "left_out_kinds",
    "left_out_remedy",
    "left_out_sentence",
    "subfolders",
]

_HEIF = (".heic", ".heif")

#: Suffixes of image files, in lower case; those of phones' HEIC where pi-heif is installed.
IMAGE_SUFFIXES = frozenset(
    (".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff")
).union([".webp"], _HEIF if find_spec("pi_heif") is not None else ())

# What unpacking and file managers leave behind, beside all that begins with a dot.
_LITTER = frozenset(["__MACOSX", "Thumbs.db", "desktop.ini"])


@dataclass(frozen=True)
class ImageFiles:
    """The image files of a folder and of the folders below it.

    Attributes:
        root: the folder.
        names: paths of the images relative to `root`, with forward slashes, in the order of their composed characters.
        left_out: how many files are no images by their suffix, by suffix in lower case ("no suffix" where there is none);
            hidden files do not count.
    """

    root: Path
    names: tuple[str, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def paths(self) -> list[Path]:
        """Path of each image, `root` included."""
        return [self.root / name for name in self.names]

    def __len__(self) -> int:
        return len(self.names)


def find_images(folder: str | Path) -> ImageFiles:
    """Return the image files in a folder and below it, and what was left out.

    Links to files and folders are followed; a folder is entered once, and a link to a folder above itself never. What
    begins with a dot and what archives and file managers leave behind (``__MACOSX``, ``Thumbs.db``) is passed over.

    Args:
        folder: the folder.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: a folder that cannot be read.

    Examples:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("b.png", "a.JPG", "notes.txt", ".hidden.png"):
        ...     root.joinpath(name).touch()
        >>> images = find_images(root)
        >>> images.names, images.left_out
        (('a.JPG', 'b.png'), {'.txt': 1})
    """
    root = Path(folder)
    if not root.is_dir():
        raise MissingFileError(must(str(root), "be a folder", "a file" if root.exists() else "no such folder"))
    names, left_out = [], Counter[str]()
    for name in _walk(root):
        suffix = Path(name).suffix.lower()
        if suffix in IMAGE_SUFFIXES:
            names.append(name)
        else:
            left_out[suffix or "no suffix"] += 1
    return ImageFiles(root, tuple(sorted(names, key=composed)), dict(sorted(left_out.items())))


def subfolders(root: Path) -> list[str]:
    """Return the names of the folders in a folder, linked ones too, hidden ones not, in the order of `find_images`."""
    return sorted((entry.name for entry in _entries(root) if entry.is_dir()), key=composed)


def composed(name: str) -> str:
    """Return a name by which to sort: file systems list in any order, and some decompose accents."""
    return unicodedata.normalize("NFC", name)


def left_out_sentence(left_out: Mapping[str, int], folder: str | Path) -> str:
    """Return the sentence of a warning that files were left out, with the remedy for HEIC."""
    count = sum(left_out.values())
    files = "1 file was" if count == 1 else f"{count:,} files were"
    return f"{files} left out of {folder}: {left_out_kinds(left_out)}. {left_out_remedy(left_out)}".rstrip()


def left_out_kinds(left_out: Mapping[str, int]) -> str:
    """Return how many files of which suffix were left out, most first: "50 .heic, 2 .txt"."""
    by_count = sorted(left_out.items(), key=lambda pair: (-pair[1], pair[0]))
    more = f" and {len(by_count) - 5} more kinds" if len(by_count) > 5 else ""
    return ", ".join(f"{count:,} {kind}" for kind, count in by_count[:5]) + more


def left_out_remedy(left_out: Mapping[str, int]) -> str:
    """Return what to do about files that were left out, if anything."""
    return 'Run pip install "topk-lightning[heif]" to read HEIC.' if any(kind in _HEIF for kind in left_out) else ""


def images_directly_in(folder: Path) -> int:
    """Return how many files in a folder itself are images by their suffix, HEIC included."""
    suffixes = IMAGE_SUFFIXES.union(_HEIF)
    return sum(Path(entry.name).suffix.lower() in suffixes and entry.is_file() for entry in _entries(folder))


def _walk(root: Path) -> Iterator[str]:
    """Yield the files below a folder as paths relative to it: those of its own folders, then those of linked ones."""
    entered: set[str] = set()
    waiting = deque([("", os.path.realpath(root))])
    links: list[tuple[str, str]] = []
    while waiting:
        prefix, folder = waiting.popleft()
        if folder not in entered:
            entered.add(folder)
            for entry in _entries(folder):
                if not entry.is_dir():
                    if entry.is_file() or not os.path.exists(entry.path):  # a broken link is named when it is read
                        yield prefix + entry.name
                elif not entry.is_symlink():
                    waiting.append((f"{prefix}{entry.name}/", entry.path))
                elif not _holds(target := os.path.realpath(entry.path), folder):
                    links.append((f"{prefix}{entry.name}/", target))
        if not waiting:
            waiting, links = deque(sorted(links)), []


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".") and entry.name not in _LITTER]
            return [entry for entry in found if not _leads_to_itself(entry)]
    except PermissionError:
        raise InvalidValueError(must(str(folder), "be a folder that may be read", "no permission")) from None


def _leads_to_itself(entry: os.DirEntry[str]) -> bool:
    try:
        entry.is_dir()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def _holds(folder: str, other: str) -> bool:
    """Say whether a folder is another one or holds it, so that a link from there leads in a circle."""
    return f"{other}{os.sep}".startswith(f"{folder.rstrip(os.sep)}{os.sep}")
