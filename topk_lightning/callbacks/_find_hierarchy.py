"""The hierarchy of a training: given, or the data module's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from topk_lightning._checks import must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning.hierarchy import Hierarchy

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["find_hierarchy"]


def find_hierarchy(trainer: Trainer, module: LightningModule, given: Any, level: str | None) -> Hierarchy:
    """Return the hierarchy `given`, or that of the trainer's data module, for the classes of the module or the data.

    Args:
        trainer: it knows the data module, whose ``fine_to_coarse`` is a hierarchy, or one for each level.
        module: its ``class_names``, or those of the data module, say which index a name has.
        given: anything that :meth:`Hierarchy.of` takes; None: the data module's.
        level: the key of a level, where the data module has several.

    Raises:
        CallbackError: if there is none, or the level is unclear.
    """
    datamodule = getattr(trainer, "datamodule", None)
    names = getattr(module, "class_names", None) or getattr(datamodule, "class_names", None)
    if given is None:
        given = getattr(datamodule, "fine_to_coarse", None)
        if given is None or not len(given):
            actual = "no data module" if datamodule is None else f"{type(datamodule).__name__} without one"
            remedy = "Pass a list of group indices, a dict {class: group}, a csv file or a folder root/group/class."
            raise CallbackError(must("fine_to_coarse", "be given where the data module has none", actual, remedy))
        if isinstance(given, Mapping) and not all(isinstance(value, int | str) for value in given.values()):
            if level not in given and (level is not None or len(given) > 1):
                names_of_levels = ", ".join(map(repr, given))
                raise CallbackError(must("level", f"be one of the data module's ({names_of_levels})", repr(level)))
            given = given[next(iter(given)) if level is None else level]
    return Hierarchy.of(given, names)
