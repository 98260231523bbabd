"""torchvision's transforms, for those who have it."""

from __future__ import annotations

from typing import Any

from topk_lightning._checks import MissingPackageError, must

__all__ = ["import_torchvision"]


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
