"""One look at every image before training: which cannot be read, which stand in two splits, what their statistics are."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from topk_lightning.data._errors import BadImageError, UnreadableImageError
from topk_lightning.data._fixed_transform import image_to_tensor
from topk_lightning.data._processes import count_of_threads
from topk_lightning.data.digests import pixel_digest
from topk_lightning.data.samples import Samples

__all__ = ["Look", "look_at_all", "statistics_of"]


class Look(NamedTuple):
    """What was seen of one image, in whole numbers, so that sums are exact and no order of adding matters.

    Attributes:
        digest: 64 bits of the decoded upright RGB pixels and their shape, so that a copy in another lossless format, or with
            other metadata, is still the same image.
        pixels: how many pixels the resized image has, which is what the network will see; 0 where they were not measured.
        sums: sum of its values, 0 … 255, for each channel.
        squares: sum of their squares.
    """

    digest: int
    pixels: int = 0
    sums: tuple[int, ...] = (0, 0, 0)
    squares: tuple[int, ...] = (0, 0, 0)

    @classmethod
    def at(cls, image: Any, resize: Callable[[Any], Tensor] | None) -> Look:
        """Look at an image as it was decoded and, unless `resize` is None, measure it as it is resized."""
        pixels = image_to_tensor(image)
        if resize is None:
            return cls(pixel_digest(pixels))
        # Rows first, which 32 bits hold up to 66,000 pixels: half the time of sums in 64. No threads, unlike torch's.
        values = resize(pixels).numpy().astype(np.uint32)
        rows = values.sum(-1, dtype=np.uint32), np.einsum("chw,chw->ch", values, values)
        sums, squares = (of_rows.sum(-1, dtype=np.int64).tolist() for of_rows in rows)
        return cls(pixel_digest(pixels), values[0].size, tuple(sums), tuple(squares))


def look_at_all(
    samples: Mapping[str, Samples],
    seen: Mapping[str, dict[int, Look]],
    resize: Callable[[Any], Tensor] | None,
    skip: bool,
    tell: Callable[[int, int], object],
) -> dict[str, dict[int, UnreadableImageError]]:
    """Look at the images that were not seen yet, fill in what is seen, and return the unreadable ones.

    Args:
        samples: the images of each split.
        seen: what is known of them already, by their index; the others are added.
        resize: from a decoded image to the size that the network sees, for its statistics; None: they are known.
        skip: whether unreadable images are returned; the first one is raised otherwise.
        tell: called with how many of how many images were looked at; the last call has them equal, also after an error.
    """
    bad: dict[str, dict[int, UnreadableImageError]] = {split: {} for split in samples}
    total = sum(len(of_split.targets) for of_split in samples.values())
    first = sum(map(len, seen.values())) + 1
    try:
        for done, (split, index, look) in enumerate(_look_at(samples, seen, resize), first):
            if isinstance(look, Look):
                seen[split][index] = look
            elif skip:
                bad[split][index] = look
            else:
                raise BadImageError(look) from look
            tell(done, total)
    except BaseException:
        tell(total, total)
        raise
    return bad


def _look_at(
    samples: Mapping[str, Samples], known: Mapping[str, Container[int]], resize: Callable[[Any], Tensor] | None
) -> Iterator[tuple[str, int, Look | UnreadableImageError]]:
    """Yield split, index and what is seen of each image that is not known, in threads.

    Pillow decodes and resizes outside Python's lock.
    """

    def look(sample: tuple[str, int]) -> tuple[str, int, Look | UnreadableImageError]:
        split, index = sample
        try:
            return split, index, Look.at(samples[split].image(index), resize)
        except UnreadableImageError as error:
            return split, index, error

    new = [(split, i) for split, of in samples.items() for i in range(len(of.targets)) if i not in known[split]]
    with ThreadPoolExecutor(count_of_threads()) as threads:
        try:
            yield from threads.map(look, new)
        finally:
            threads.shutdown(cancel_futures=True)


def statistics_of(looks: Iterable[Look]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel of pixels in [0, 1]; a constant channel gets deviation 1."""
    looks = list(looks)
    count = sum(look.pixels for look in looks)
    totals, squares = (
        [sum(channel) for channel in zip(*values, strict=True)]
        for values in ([look.sums for look in looks], [look.squares for look in looks])
    )
    # N·Σx² − (Σx)² in whole numbers: nothing cancels, however small the deviation is.
    spreads = (count * square - total**2 for square, total in zip(squares, totals, strict=True))
    means = tuple(total / count / 255 for total in totals)
    return means, tuple(spread**0.5 / count / 255 if spread else 1.0 for spread in spreads)
