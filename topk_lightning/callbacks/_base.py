"""The one base class of our callbacks, for the trainers of both ``pytorch_lightning`` and ``lightning.pytorch``.

The two packages are twins with classes of their own, and each asks with ``isinstance`` for its own ``Callback`` (a single
object, a list, a class path in a yaml file). So our base derives from both where both can be imported. A package that
cannot be imported has no trainer that could ask; which of the two a program imports first plays no role.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NoReturn

import pytorch_lightning

from topk_lightning._checks import must
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning._repr import described

__all__ = ["Callback"]

# What topk_lightning.integrations.fastai has, too.
_TWINS = ("KAnnealing", "TemperatureAnnealing")

if TYPE_CHECKING:
    Callback = pytorch_lightning.Callback
else:
    _bases = [pytorch_lightning.Callback]
    with contextlib.suppress(ImportError):
        import lightning.pytorch

        _bases.append(lightning.pytorch.Callback)

    class Callback(*_bases):
        """A callback that trainers of both package names accept."""

        def __repr__(self) -> str:
            return described(self)

        @property
        def learn(self) -> NoReturn:
            """Fastai's Learner puts itself here; asked for, it is no attribute."""
            raise AttributeError(f"{type(self).__name__} has no attribute 'learn'")

        @learn.setter
        def learn(self, learner: object) -> None:
            name = type(self).__name__
            twin = f"Use topk_lightning.integrations.fastai.{name}." if name in _TWINS else "It has no twin for fastai."
            raise CallbackError(must("cbs", "hold callbacks of fastai", f"topk_lightning.{name}", twin))
