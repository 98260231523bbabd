"""Images and target of a batch, in the forms that data sets of the field have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from topk_lightning._checks import InvalidTypeError, must

__all__ = ["images_and_target", "images_of"]

# The first are those of Hugging Face's image classification.
_IMAGES = ("pixel_values", "images", "image")
_TARGETS = ("labels", "label", "target", "targets")


def images_and_target(batch: Any) -> tuple[Any, Any]:
    """Return (images, target) of a batch: a pair, or a dict such as {"pixel_values": …, "labels": …}.

    Raises:
        TypeError: a batch of another form.
    """
    if isinstance(batch, Mapping):
        return _entry(batch, _IMAGES), _entry(batch, _TARGETS)
    if not isinstance(batch, list | tuple) or len(batch) != 2:
        actual = f"{len(batch)} parts" if isinstance(batch, list | tuple) else type(batch).__name__
        raise InvalidTypeError(must("batch", "be a pair (images, target)", actual))
    return batch[0], batch[1]


def images_of(batch: Any) -> Any:
    """Return the images of a batch, which may lack a target: a tensor, a pair whose first part they are, or a dict."""
    if isinstance(batch, Mapping):
        return _entry(batch, _IMAGES)
    return batch[0] if isinstance(batch, list | tuple) else batch


def _entry(batch: Mapping[Any, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        if name in batch:
            return batch[name]
    keys = ", ".join(repr(str(key)[:40]) for key in list(batch)[:5])
    wanted = f"hold {names[0]!r}" + "".join(f" or {name!r}" for name in names[1:])
    raise InvalidTypeError(must("batch", wanted, f"the keys {keys}" if keys else "an empty dict"))
