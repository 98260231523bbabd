"""Class names of Hugging Face data sets, and of webdataset's tars by the file that stands beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["names_beside_shards", "names_of_features"]

# The columns that a batch's target is taken from, and the files that name the classes of tars, one a line.
_COLUMNS = ("labels", "label", "target", "targets")
_FILES = ("classnames.txt", "classes.txt")


def names_of_features(dataset: Any) -> Any:
    """Return the names of the one column of class labels of a data set of ``datasets``; None where it is not certain."""
    features = getattr(dataset, "features", None)
    if not isinstance(features, Mapping):
        return None
    columns = [names for name in _COLUMNS if (names := getattr(features.get(name), "names", None))]
    return columns[0] if len(columns) == 1 else None


def names_beside_shards(dataset: Any) -> list[str] | None:
    """Return the lines of classnames.txt or classes.txt in the folder of a WebDataset's tars; no other place is asked."""
    urls = list(_urls(dataset))
    folders = {Path(url.removeprefix("file:")).parent for url in urls if "://" not in url and "pipe:" not in url}
    if len(folders) != 1 or any("://" in url for url in urls):
        return None
    (folder,) = folders
    for name in _FILES:
        if (folder / name).is_file():
            return [line for line in (folder / name).read_text(encoding="utf-8").splitlines() if line]
    return None


def _urls(dataset: Any) -> Iterator[str]:
    for stage in getattr(dataset, "pipeline", ()):
        urls = getattr(stage, "urls", ())
        yield from (url for url in urls if isinstance(url, str))
        if getattr(stage, "dataset", None) is not None:  # a loader as the first stage of another pipeline
            yield from _urls(stage.dataset)
