"""One definition of a data module, a class of it for each of Lightning's two names."""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["lightning_data_module", "on_base"]

T = TypeVar("T")


def lightning_data_module(definition: type[T]) -> type[T]:
    """Return a data module of ``pytorch_lightning``; ``topk_lightning.lightning`` makes its twin of ``lightning.pytorch``.

    The definition itself inherits from :class:`~topk_lightning.data.ImageDataModuleBase` only.
    """
    from pytorch_lightning import LightningDataModule

    return on_base(definition, LightningDataModule, definition.__module__)


def on_base(module: type[T], base: type, home: str) -> type[T]:
    """Return the definition of a data module as a class with another base, which is found under its name in `home`."""
    definition: Any = vars(module).get("definition", module)
    namespace = {"__doc__": definition.__doc__, "__module__": home, "definition": definition}
    return type(definition.__name__, (definition, base), namespace)
