"""Checks of the report: its data, its file, and what stands beside the checkpoint."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from topk_lightning._checks import InvalidTypeError, InvalidValueError, MissingFileError, must

__all__ = [
    "check_checkpoint_path",
    "check_class_folders",
    "check_class_number",
    "check_report_path",
    "check_same_names",
    "check_same_preparation",
    "check_test_size",
    "missing_names",
    "no_data_known",
    "no_data_section",
    "no_order",
    "unknown_data",
]


def unknown_data(data: object) -> TypeError:
    """Return the error for data that no test images can be taken from."""
    wanted = "be a data module with one test DataLoader, a DataLoader, or a folder of test images"
    return InvalidTypeError(must("data", wanted, type(data).__name__))


def no_order(kind: str) -> TypeError:
    """Return the error for a data set whose images have no index."""
    return InvalidTypeError(must("data", "be a data set with a length and images by index", kind))


def check_test_size(count: int, where: Path | None = None) -> None:
    """Refuse a test set without an image."""
    if count == 0:
        raise InvalidValueError(
            must("data", "hold at least one test image", "none" if where is None else f"none in {where}")
        )


def missing_names() -> ValueError:
    """Return the error for folders of classes and a model that does not know what its classes are called."""
    return InvalidValueError(
        must("class_names", "be given to read a folder of classes", None, "The model does not name its classes.")
    )


def check_class_folders(root: Path, found: Sequence[str], known: Sequence[str]) -> None:
    """Refuse folders that are no class of the model, and a folder without any."""
    if not found:
        raise InvalidValueError(must("data", f"hold a folder for each class in {root}", "none"))
    unknown = [name for name in found if name not in set(known)]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        remedy = f"Did you mean {near[0]!r}?" if near else "The folders are called as the classes of the checkpoint."
        raise InvalidValueError(
            must("data", f"hold only folders of the model's {len(known)} classes", f"{unknown[0]!r}", remedy)
        )


def check_class_number(found: int, num_classes: int) -> None:
    """Refuse data of another number of classes than the model has outputs."""
    if found != num_classes:
        remedy = "Is this the checkpoint of another model?"
        raise InvalidValueError(must("data", f"have the {num_classes} classes of the model", found, remedy))


def check_same_preparation(trained: object, given: object) -> None:
    """Refuse images that are prepared in another way than those the model was trained with."""
    if trained is not None and trained != given:
        remedy = "Give the data module the image_size, resize and statistics of the training."
        raise InvalidValueError(must("data", f"prepare images as the model was trained ({trained})", given, remedy))


def check_checkpoint_path(path: str) -> Path:
    """Return the path of a checkpoint that exists."""
    if not Path(path).is_file():
        raise MissingFileError(must("checkpoint", "be an existing file", repr(path)))
    return Path(path)


def check_report_path(path: str | Path) -> Path:
    """Return the path of the report, an .html file."""
    where = Path(path)
    if where.suffix.lower() not in (".html", ".htm") or where.is_dir():
        raise InvalidValueError(must("out", "be the name of an .html file", repr(str(path))))
    return where


def no_data_known(checkpoint: str) -> ValueError:
    """Return the error for a checkpoint beside which nothing says what it was trained on."""
    return InvalidValueError(
        must(
            "--data",
            f"be given for {checkpoint}, which has no config.yaml beside it",
            None,
            "Pass a folder of test images (one folder a class), the config.yaml of the training, or emoji.",
        )
    )


def no_data_section(path: str) -> ValueError:
    """Return the error for a yaml file that names no data module."""
    return InvalidValueError(must("--data", "be a yaml file with data.class_path, as fit saves it", repr(path)))


def check_same_names(model: Sequence[str], data: Sequence[str]) -> None:
    """Refuse data whose classes have other names, or another order, than those of the model."""
    for index, (one, other) in enumerate(zip(model, data, strict=True)):
        if one != other:
            remedy = "Is this the checkpoint of another model?"
            raise InvalidValueError(must("data", f"name class {index} {one!r} as the model does", repr(other), remedy))
