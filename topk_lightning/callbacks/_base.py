"""The one base class of our callbacks, for the trainers of both ``pytorch_lightning`` and ``lightning.pytorch``.

The two packages are twins with classes of their own, and each asks with ``isinstance`` for its own ``Callback`` (a single
object, a list, a class path in a yaml file). So our base derives from both where both can be imported. A package that
cannot be imported has no trainer that could ask; which of the two a program imports first plays no role.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytorch_lightning

__all__ = ["Callback"]

if TYPE_CHECKING:
    Callback = pytorch_lightning.Callback
else:
    _bases = [pytorch_lightning.Callback]
    with contextlib.suppress(ImportError):
        import lightning.pytorch

        _bases.append(lightning.pytorch.Callback)

    class Callback(*_bases):
        """A callback that trainers of both package names accept."""
