"""The dataloaders of a stage of training, each with the name that its numbers are logged under."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["name_loaders", "sampler_of"]


def name_loaders(loaders: Any) -> dict[str, Any]:
    """Return each dataloader of a trainer's stage by its name, in the order of Lightning's ``dataloader_idx``.

    Args:
        loaders: what ``trainer.val_dataloaders`` holds: one loader, a list or a dict of them, or these within each other.

    Returns:
        The loaders by their keys; those of a list by Lightning's words, ``dataloader_idx_<i>``.

    Examples:
        >>> name_loaders({"day": [0, 1], "night": [2]})
        {'day/0': 0, 'day/1': 1, 'night/0': 2}
        >>> name_loaders(["a", "b"])
        {'dataloader_idx_0': 'a', 'dataloader_idx_1': 'b'}
    """
    return dict(_flattened(getattr(loaders, "iterables", loaders), ""))


def _flattened(loaders: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(loaders, Mapping):
        items = [(str(key), loader) for key, loader in loaders.items()]
    elif isinstance(loaders, list | tuple):
        items = [(str(index) if name else f"dataloader_idx_{index}", loader) for index, loader in enumerate(loaders)]
    else:
        yield name or "dataloader_idx_0", loaders
        return
    for key, loader in items:
        yield from _flattened(loader, f"{name}/{key}" if name else key)


def sampler_of(loader: Any) -> Any:
    """Return what draws the indices of a dataloader, also where the trainer has wrapped it for prediction."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    return getattr(batch_sampler, "sampler", getattr(loader, "sampler", None))
