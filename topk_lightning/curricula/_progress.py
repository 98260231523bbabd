"""The progress of training: the fraction at which a step or epoch stands, and a value drawn over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_curriculum", "progress_at"]


def progress_at(index: int, total: float) -> float:
    """Return the progress of step `index` of `total`, so that the first is 0 and the last 1; later ones are 1, too.

    Examples:
        >>> [progress_at(step, 5) for step in (0, 1, 4, 7)], progress_at(0, 1)
        ([0.0, 0.25, 1.0, 1.0], 0.0)
    """
    return min(1.0, index / (total - 1)) if total > 1 else 0.0


def plot_curriculum(
    value_at: Callable[[float], float], name: str, whole: bool, ax: Axes | None = None
) -> tuple[Figure, Axes]:
    """Draw a value against the progress of training.

    Args:
        value_at: the value at a progress in [0, 1].
        name: what the value is called.
        whole: whether it is a whole number, which jumps.
        ax: matplotlib axes to draw into; by default new ones.
    """
    progresses = [i / 400 for i in range(401)]
    values = [value_at(progress) for progress in progresses]
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots()
    ax.plot(progresses, values, drawstyle="steps-post" if whole else "default")
    ax.set(xlabel="progress of training", ylabel=name, xlim=(0, 1))
    return ax.figure, ax  # type: ignore[return-value]
