"""The class names that a loader or a data set is sure of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch.utils.data import ConcatDataset, DataLoader, Subset

__all__ = ["find_class_names"]

# The columns that a batch's target is taken from, and the files that name the classes of tars, one a line.
_COLUMNS = ("labels", "label", "target", "targets")
_FILES = ("classnames.txt", "classes.txt")


def find_class_names(source: Any) -> list[str] | None:
    """Return the names of the classes in the order of the targets, or None where it is not certain what they are.

    Certain are a data module's `class_names`, the `classes` of a data set as torchvision's ImageFolder has them, the
    ``ClassLabel`` of a data set of Hugging Face, in memory or streaming, and classnames.txt beside the tars of webdataset; also
    behind loaders, ``Subset`` and ``ConcatDataset``; not those of a data set that changes its targets
    (``target_transform``), and not those of several data sets that disagree.

    Args:
        source: a data module, a DataLoader, several of them in a list or a dict, or a data set.

    Examples:
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> from topk_lightning.data import EmojiDataModule
        >>> data = EmojiDataModule(classes=["lemon", "cherries"])
        >>> data.setup()
        >>> find_class_names(data), find_class_names(data.test_dataloader())
        (['lemon', 'cherries'], ['lemon', 'cherries'])
        >>> find_class_names(DataLoader(TensorDataset())) is None
        True
    """
    if isinstance(source, Mapping | list | tuple):
        return _agreed(source.values() if isinstance(source, Mapping) else source)
    if hasattr(source, "class_names"):
        return _texts(source.class_names)
    if isinstance(source, ConcatDataset):
        return _agreed(source.datasets)
    if hasattr(source, "flattened"):  # Lightning's CombinedLoader
        return _agreed(source.flattened)
    if hasattr(source, "pipeline"):  # webdataset's
        return _texts(_names_beside_shards(source))
    if isinstance(source, DataLoader) or (isinstance(source, Subset) and _is_plain(source)):
        return find_class_names(source.dataset)
    return _of_data_set(source)


def _of_data_set(dataset: Any) -> list[str] | None:
    transforms = getattr(dataset, "transforms", None)  # of image and target together, but for torchvision's default
    if getattr(dataset, "target_transform", None) is not None:
        return None
    if transforms is not None and type(transforms).__name__ != "StandardTransform":
        return None
    names = _texts(_names_of_features(dataset)) or _texts(getattr(dataset, "classes", None))
    numbers = getattr(dataset, "class_to_idx", None)
    if names is None or numbers is None:
        return names
    by_index = {index: name for name, index in numbers.items()} if isinstance(numbers, Mapping) else {}
    if sorted(numbers) != sorted(names) or set(by_index) != set(range(len(names))):
        return None
    return [by_index[index] for index in range(len(names))]


def _is_plain(subset: Subset[Any]) -> bool:
    """Say whether a subset hands items on as they are."""
    return type(subset).__getitem__ is Subset.__getitem__


def _agreed(sources: Any) -> list[str] | None:
    names_of_sources = [find_class_names(source) for source in sources]
    return (
        names_of_sources[0]
        if names_of_sources and all(names == names_of_sources[0] for names in names_of_sources)
        else None
    )


def _texts(names: Any) -> list[str] | None:
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        return None
    return list(names)


def _names_of_features(dataset: Any) -> Any:
    """Return the names of the one column of class labels of a data set of ``datasets``; None where it is not certain."""
    features = getattr(dataset, "features", None)
    if not isinstance(features, Mapping):
        return None
    columns = [names for name in _COLUMNS if (names := getattr(features.get(name), "names", None))]
    return columns[0] if len(columns) == 1 else None


def _names_beside_shards(dataset: Any) -> list[str] | None:
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
