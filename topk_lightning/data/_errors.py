"""The errors and warnings of the data that several files raise."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from topk_lightning._checks import InvalidValueError, UserError, must, shown

__all__ = [
    "SPLITS",
    "BadImageError",
    "BadImageWarning",
    "DeeperFoldersWarning",
    "ImageSizeWarning",
    "LeakageWarning",
    "LeftOutWarning",
    "NotAFolderError",
    "TooLargeImageError",
    "UnreadableImageError",
    "skipped_sentence",
    "unreadable_image",
    "warn_of_like_names",
]

#: The names of the three parts of a data set.
SPLITS = ("train", "val", "test")


class UnreadableImageError(InvalidValueError):
    """An image file that cannot be decoded."""


class TooLargeImageError(UnreadableImageError):
    """An image of more pixels than were allowed, which was not decoded.

    Attributes:
        sentence: what is wrong, without the option that would allow it, for those who cannot set it.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(f"{sentence} A larger max_pixels lets it in.")
        self.sentence = sentence

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (self.sentence,)  # from a worker process


class BadImageError(UnreadableImageError):
    """The first unreadable image of a data set, which may leave it out.

    Args:
        error: what is wrong with it.
    """

    def __init__(self, error: UnreadableImageError) -> None:
        self.error = error
        super().__init__(self.said('on_bad_image="skip"', "max_pixels"))

    def __reduce__(self) -> tuple[type, tuple[UnreadableImageError]]:
        return type(self), (self.error,)

    def said(self, skip: str, max_pixels: str) -> str:
        """Return the sentence with the ways out, as its reader types them."""
        if isinstance(self.error, TooLargeImageError):
            return f"{self.error.sentence} A larger {max_pixels} lets it in, {skip} leaves it out."
        return f"{self.error} {skip} leaves it out."


class NotAFolderError(UserError, NotADirectoryError):
    """A file where a folder was asked for."""


class BadImageWarning(UserWarning):
    """Unreadable images were left out."""


class DeeperFoldersWarning(UserWarning):
    """Folders below those of the classes may have been meant as classes."""


class ImageSizeWarning(UserWarning):
    """Pretrained weights get images of another size than they were trained on."""


class LeakageWarning(UserWarning):
    """The same image stands in more than one split."""


class LeftOutWarning(UserWarning):
    """Files that are no images by their suffix were left out."""


def unreadable_image(path: str | Path, error: Exception) -> UnreadableImageError:
    """Return the error for a file that is no image, or that ends early."""
    reason = f"{type(error).__name__} ({error})".replace(f" {str(path)!r}", "")
    return UnreadableImageError(must(str(path), "be a readable image", reason))


def warn_of_like_names(names: Iterable[str], where: str | Path) -> None:
    """Warn of two classes whose names look alike to people: they differ in capitals or blanks alone."""
    seen: dict[str, str] = {}
    for name in names:
        plain = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
        if (other := seen.setdefault(plain, name)) != name:
            differ = f"Classes {shown(other)} and {shown(name)} of {where} differ in capitals or blanks alone"
            warnings.warn(f"{differ}. If they are the same, give both one name.", stacklevel=3)


def skipped_sentence(names: Sequence[str], at_most: int = 5) -> str:
    """Return the sentence of a warning that images could not be read."""
    more = f" and {len(names) - at_most} more (see .unreadable)" if len(names) > at_most else ""
    count = "1 unreadable image was" if len(names) == 1 else f"{len(names)} unreadable images were"
    return f"{count} skipped: {', '.join(names[:at_most])}{more}."
