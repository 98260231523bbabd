"""Pictures with their k best classes as bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from topk_lightning.drawing._figures import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["NamedPicture", "draw_picture", "draw_predictions"]

_RIGHT, _WRONG, _TRACK = COLOURS[2], "#a8a8a8", "#f2f2f2"


class Prediction(Protocol):
    """A named class with its probability, such as :class:`topk_lightning.TopKPrediction`."""

    @property
    def label(self) -> str:
        """Name of the class."""

    @property
    def probability(self) -> float:
        """Its probability in [0, 1]."""


@dataclass(frozen=True)
class NamedPicture:
    """A picture, its true class, and its k best classes, best first."""

    picture: Any
    truth: str
    predictions: Sequence[Prediction]

    @property
    def rank(self) -> int | None:
        """Place of the true class among the predictions, from 1; None if it is not there."""
        return next((rank for rank, p in enumerate(self.predictions, 1) if p.label == self.truth), None)


def draw_picture(axes: Axes, item: NamedPicture) -> None:
    """Draw the picture, its true class above it."""
    axes.imshow(item.picture, interpolation="antialiased")
    axes.set_axis_off()
    axes.set_title(_shortened(item.truth, 22), fontsize=10, parse_math=False)


def draw_predictions(axes: Axes, item: NamedPicture) -> None:
    """Draw a bar for each prediction, best on top; the true class stands out in colour and with a tick."""
    count = len(item.predictions)
    for row, prediction in enumerate(item.predictions):
        right = prediction.label == item.truth
        axes.barh(row, 1, height=0.42, color=_TRACK)
        axes.barh(row, prediction.probability, height=0.42, color=_RIGHT if right else _WRONG)
        name = _shortened(prediction.label, 26) + (" ✓" if right else "")
        weight = "bold" if right else "normal"
        axes.text(0, row - 0.28, name, fontsize=9, fontweight=weight, va="bottom", parse_math=False)
        inside = prediction.probability > 0.8
        axes.text(
            prediction.probability + (-0.02 if inside else 0.02),
            row,
            f"{prediction.probability:.2f}",
            fontsize=8,
            va="center",
            ha="right" if inside else "left",
            color="white" if inside and right else "black",
        )
    axes.set(xlim=(0, 1), ylim=(count - 0.6, -0.85))
    axes.set_axis_off()


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
