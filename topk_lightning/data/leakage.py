"""Images of one split that stand in another, or look almost like one there."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Leak"]


@dataclass(frozen=True)
class Leak:
    """The same image, or two that look almost the same, in more than one split.

    Attributes:
        images: the images, each as "split: name".
        distance: in how many bits of 64 their perceptual hashes differ; 0 for identical images.
        exact: whether the decoded pixels are identical.
    """

    images: tuple[str, ...]
    distance: int
    exact: bool
