"""The splits of a torchvision data set as samples: which constructor gives which, targets, names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from topk_lightning._checks import (
    InvalidTypeError,
    InvalidValueError,
    MissingFileError,
    MissingPackageError,
    must,
    shown,
)
from topk_lightning.data.images import to_rgb

__all__ = ["SetSamples", "build_splits", "targets_of"]

# What the splits are called where a constructor takes `split`, the first that it takes.
_WORDS = {"train": ("train", "trainval"), "val": ("val", "valid"), "test": ("test",)}


@dataclass(frozen=True)
class SetSamples:
    """Images of a torchvision data set, by their places in it."""

    dataset: Any
    items: tuple[int, ...]
    names: tuple[str, ...]
    targets: tuple[int, ...]

    def image(self, index: int) -> Image.Image:
        """Return one image as the transforms take it."""
        image = self.dataset[self.items[index]][0]
        if not isinstance(image, Image.Image):
            raise InvalidTypeError(must("name", "be a data set of PIL images", type(image).__name__))
        return image

    def picture(self, index: int) -> Image.Image:
        """Return one image as it came, RGB."""
        return to_rgb(self.image(index))


def build_splits(name: str, root: Path, options: Mapping[str, Any], download: bool) -> dict[str, Any]:
    """Return the data sets of torchvision by the name of their split: those that it knows, "train" always.

    Raises:
        FileNotFoundError: files that are not there, where nothing may be downloaded.
        ValueError: no data set of this name.
    """
    import torchvision.datasets as home

    kind = getattr(home, name, None)
    if not isinstance(kind, type) or name not in home.__all__:
        import difflib

        near = difflib.get_close_matches(name, home.__all__, n=1)
        remedy = f"Did you mean {near[0]}?" if near else "torchvision.datasets lists them."
        raise InvalidValueError(must("name", "be a data set of torchvision", shown(name), remedy))
    takes = {parameter for parent in kind.__mro__ for parameter in inspect.signature(parent).parameters}
    arguments = {"root": root, **({"download": download} if "download" in takes else {}), **options}

    def build(**split: Any) -> Any:
        known = {key: value for key, value in {**arguments, **split}.items() if key in takes or key in options}
        try:
            return kind(**known)
        except ModuleNotFoundError as error:  # of what a set's lists are written in, such as scipy for Flowers102
            remedy = f"Run pip install {error.name}."
            sentence = must(f"{error.name}", f"be installed to read {name}", "no such package", remedy)
            raise MissingPackageError(sentence, name=error.name) from error
        except (RuntimeError, FileNotFoundError) as error:
            remedy = "Say download=True to fetch it." if "download" in takes else "torchvision does not fetch this one."
            raise MissingFileError(must("root", f"hold the files of {name}", repr(str(root)), remedy)) from error

    if "split" in takes and "split" not in options:
        splits = {split: _first(build, words) for split, words in _WORDS.items()}
        return {split: dataset for split, dataset in splits.items() if dataset is not None}
    if "train" in takes:
        return {"train": build(train=True), "test": build(train=False)}
    return {"train": build()}


def _first(build: Any, words: Sequence[str]) -> Any:
    for word in words:
        try:
            return build(split=word)
        except ValueError as error:
            if isinstance(error, InvalidValueError):
                raise
    return None


def targets_of(dataset: Any) -> list[int]:
    """Return the class index of each item, from the data set's own list where that is what its items say."""
    number = len(dataset)
    for attribute in ("targets", "_labels", "labels"):
        values = getattr(dataset, attribute, None)
        if values is not None and len(values) == number:
            listed = [int(value) for value in values]
            if all(int(dataset[item][1]) == listed[item] for item in {0, number // 2, number - 1}):
                return listed
    return [int(dataset[item][1]) for item in range(number)]
