"""Which image each row of a batch is: its path, its name in the data set, or its index."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from topk_lightning._checks import must
from topk_lightning._checks.callback_error import CallbackError

__all__ = ["images_of_batch"]


def images_of_batch(loader: Any, batch: Any, batch_idx: int, rows: int, seen: int, world_size: int) -> list[Any]:
    """Return the path or the index of each image of a batch."""
    paths = batch.get("path") if isinstance(batch, Mapping) else None
    if isinstance(batch, tuple | list) and len(batch) == 2:
        paths = batch[1]
    if isinstance(paths, tuple | list) and all(isinstance(path, str | Path) for path in paths):
        return [str(path) for path in paths]
    # What the trainer's sampler drew for each batch. It would keep that for the whole run; the batch before is let go
    # here, this one not yet, since other callbacks may read it.
    drawn = getattr(getattr(loader, "batch_sampler", None), "seen_batch_indices", None)
    if drawn:
        if batch_idx:
            drawn[batch_idx - 1] = ()
        return [_name(loader.dataset, index) for index in drawn[batch_idx]]
    if world_size > 1:
        wanted = "say which image a row is of where several processes predict data without an index"
        remedy = 'Let the batch be (images, paths) or a dict with "path".'
        raise CallbackError(must("the batch", wanted, "neither paths nor indices", remedy))
    return list(range(seen, seen + rows))


def _name(dataset: Any, index: int) -> Any:
    """Return the name that a data set has for an image, or its index."""
    outer = index
    while hasattr(dataset, "indices") and hasattr(dataset, "dataset"):  # a Subset
        index, dataset = int(dataset.indices[index]), dataset.dataset
    samples = getattr(dataset, "samples", None)
    for names in (getattr(dataset, "paths", None), getattr(samples, "names", None), samples):
        if isinstance(names, tuple | list):
            name = names[index][0] if isinstance(names[index], tuple | list) else names[index]
            if isinstance(name, str | Path):
                return str(name)
    return outer
