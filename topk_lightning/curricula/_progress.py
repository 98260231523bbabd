"""The progress of training: the fraction at which a step or epoch stands, and a value drawn over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Curriculum", "progress_at"]


def progress_at(index: int, total: float) -> float:
    """Return the progress of step `index` of `total`, so that the first is 0 and the last 1; later ones are 1, too.

    Examples:
        >>> [progress_at(step, 5) for step in (0, 1, 4, 7)], progress_at(0, 1)
        ([0.0, 0.25, 1.0, 1.0], 0.0)
    """
    return min(1.0, index / (total - 1)) if total > 1 else 0.0


class Curriculum:
    """A value that belongs to each progress of training; a subclass says which."""

    #: Whether the values are whole numbers, which jump; set by a subclass.
    _whole = False

    def value_at(self, progress: float) -> float:
        """Return the value at a progress of training in [0, 1]."""
        raise NotImplementedError

    def plot(self, ax: Axes | None = None) -> tuple[Figure, Axes]:
        """Draw the value against the progress of training; no training is needed.

        Args:
            ax: matplotlib axes to draw into; by default new ones.

        Returns:
            The figure and the axes.
        """
        progresses = [i / 400 for i in range(401)]
        if ax is None:
            import matplotlib.pyplot as plt

            _, ax = plt.subplots()
        values = [self.value_at(progress) for progress in progresses]
        ax.plot(progresses, values, drawstyle="steps-post" if self._whole else "default")
        ax.set(xlabel="progress of training", ylabel=self._label(), xlim=(0, 1))
        return ax.figure, ax  # type: ignore[return-value]

    def _label(self) -> str:
        """Return what the value is called."""
        raise NotImplementedError
