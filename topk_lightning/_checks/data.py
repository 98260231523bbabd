"""Checks of data: images, folders, splits, statistics, and what must be installed for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, MissingFileError, MissingPackageError, must
from topk_lightning._checks.options import check_choice, check_fraction, check_number, check_positive

__all__ = [
    "SPLITS",
    "BadImageWarning",
    "LeakageWarning",
    "UnreadableImageError",
    "check_augment",
    "check_enough_samples",
    "check_folder",
    "check_folder_classes",
    "check_fractions",
    "check_image",
    "check_preprocessing",
    "check_split_sizes",
    "check_statistics",
    "empty_after_skipping",
    "empty_class",
    "import_torchvision",
    "leakage_sentence",
    "missing_folder",
    "not_set_up",
    "skipped_sentence",
    "unknown_folder",
    "unreadable_image",
]

SPLITS = ("train", "val", "test")

Statistics = tuple[tuple[float, ...], tuple[float, ...]]


def import_torchvision(user: str) -> Any:
    """Return torchvision.transforms.v2; without torchvision, raise one sentence that names who needs it."""
    try:
        from torchvision.transforms import v2
    except ModuleNotFoundError as error:
        # A torchvision that is there but lacks a part of its own is another matter.
        if error.name != "torchvision":
            raise
        sentence = must("torchvision", f"be installed for {user}", "no such package", "Run pip install torchvision.")
        raise MissingPackageError(sentence, name="torchvision") from None
    return v2


class UnreadableImageError(InvalidValueError):
    """An image file that cannot be decoded."""


class BadImageWarning(UserWarning):
    """Unreadable images were left out."""


class LeakageWarning(UserWarning):
    """The same image stands in more than one split."""


def unreadable_image(path: str | Path, error: Exception) -> UnreadableImageError:
    """Return the error for a file that is no image, or that ends early."""
    reason = f"{type(error).__name__} ({error})".replace(f" {str(path)!r}", "")
    return UnreadableImageError(must(str(path), "be a readable image", reason))


def check_image(image: object) -> Tensor:
    """Return a uint8 image (..., 3, H, W) as it is; what else is no image for the transforms."""
    if not isinstance(image, Tensor) or image.dtype != torch.uint8:
        found = f"a {image.dtype} tensor" if isinstance(image, Tensor) else type(image).__name__
        raise InvalidTypeError(must("image", "be a PIL image or a uint8 tensor", found))
    if image.ndim < 3 or image.shape[-3] != 3:
        raise InvalidValueError(must("image", "have shape (..., 3, H, W)", tuple(image.shape)))
    return image


def check_augment(augment: object, names: Iterable[str]) -> None:
    """Refuse what is neither the name of an augmentation nor a callable."""
    if isinstance(augment, str):
        check_choice("augment", augment, names)
    elif not callable(augment):
        raise InvalidTypeError(must("augment", "be a name or a callable", type(augment).__name__))


def check_statistics(
    statistics: str | Sequence[Sequence[float]], known: Mapping[str, Statistics] | None = None
) -> Statistics:
    """Return mean and standard deviation as two tuples of three numbers, deviations above 0; a name is looked up."""
    if isinstance(statistics, str):
        known = known or {}
        return known[check_choice("statistics", statistics, known)]
    if len(statistics) != 2 or any(len(numbers) != 3 for numbers in statistics):
        raise InvalidValueError(must("statistics", "be a mean and a deviation of 3 channels each", statistics))
    mean = tuple(check_number("mean", value) for value in statistics[0])
    return mean, tuple(check_positive("std", value) for value in statistics[1])


def check_preprocessing(
    values: Mapping[str, Any], needed: Sequence[str], optional: Sequence[str] = ()
) -> Mapping[str, Any]:
    """Return the fields of a preprocessing; a missing or an unknown one is a ValueError."""
    missing = [name for name in needed if name not in values]
    unknown = [name for name in values if name not in (*needed, *optional)]
    if missing or unknown:
        found = f"missing {missing}" if missing else f"unknown {unknown}"
        raise InvalidValueError(must("values", "be what Preprocessing.to_dict wrote", found))
    return values


def check_enough_samples(samples: int, processes: int) -> None:
    """Refuse fewer samples than processes: one of them would have nothing to do and wait for ever."""
    if samples < processes:
        raise InvalidValueError(
            must("dataset", f"hold at least one sample for each of {processes} processes", f"{samples} samples")
        )


def not_set_up(attribute: str) -> AttributeError:
    """Return the error for what is known after setup only; an AttributeError, so that getattr and hasattr work."""
    return AttributeError(
        must(attribute, "be read after setup", "a data module that is not set up", "Call setup() first.")
    )


def leakage_sentence(duplicates: Sequence[Sequence[str]], shown: int = 5) -> str:
    """Return the warning that names identical images in different splits."""
    named = "; ".join(" = ".join(group) for group in duplicates[:shown])
    more = f"; and {len(duplicates) - shown} more (see .duplicates)" if len(duplicates) > shown else ""
    return f"{len(duplicates)} images stand in more than one split, which flatters the scores: {named}{more}."


def missing_folder(path: Path) -> FileNotFoundError:
    """Return the error for a folder that is not there."""
    return MissingFileError(must("root", f"hold the folder {path}", "no such folder"))


def unknown_folder(path: Path, train: Path) -> ValueError:
    """Return the error for a class of validation or test that training does not have."""
    return InvalidValueError(
        must("root", f"hold the same classes in every split ({train} has no {path.name!r})", f"{path}")
    )


def check_folder(path: Path) -> Path:
    """Return a folder; what is missing, or a file, is named."""
    if not path.exists():
        raise missing_folder(path)
    if not path.is_dir():
        raise NotADirectoryError(must("root", f"be a folder, also at {path}", "a file"))
    return path


def check_folder_classes(path: Path, names: Sequence[str]) -> None:
    """Refuse fewer than two class folders."""
    if len(names) < 2:
        found = f"one class only ({names[0]!r})" if names else "none"
        raise InvalidValueError(must("root", f"hold at least two class folders in {path}", found))


def empty_class(path: Path) -> ValueError:
    """Return the error for a class folder without images."""
    return InvalidValueError(
        must("root", f"hold at least one image in {path}", "none", "Add images, or remove the class from every split.")
    )


def empty_after_skipping(split: str, name: str) -> ValueError:
    """Return the error for a class whose images were all unreadable."""
    return InvalidValueError(
        must("root", f"hold a readable image of class {name!r} in {split}", "unreadable ones only")
    )


def check_split_sizes(root: Path, sizes: Mapping[str, int]) -> None:
    """Refuse a split without any image."""
    for split, size in sizes.items():
        if size == 0:
            remedy = "A class needs three images to have one in each split."
            raise InvalidValueError(must("root", f"hold enough images to split ({root})", f"none for {split}", remedy))


def check_fractions(val: object, test: object) -> tuple[float, float]:
    """Return the fractions of validation and test: each inside (0, 1), together below 1."""
    values = check_fraction("val_fraction", val), check_fraction("test_fraction", test)
    for name, value in zip(("val_fraction", "test_fraction"), values, strict=True):
        if not 0 < value < 1:
            raise InvalidValueError(must(name, "lie between 0 and 1", value))
    if sum(values) >= 1:
        raise InvalidValueError(must("val_fraction + test_fraction", "be below 1", f"{values[0]} + {values[1]}"))
    return values


def skipped_sentence(names: Sequence[str], shown: int = 5) -> str:
    """Return the warning that names images that were left out."""
    more = f" and {len(names) - shown} more (see .skipped)" if len(names) > shown else ""
    what = "1 unreadable image was" if len(names) == 1 else f"{len(names)} unreadable images were"
    return f"{what} skipped: {', '.join(names[:shown])}{more}."
