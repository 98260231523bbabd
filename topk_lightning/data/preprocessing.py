"""From an image to the tensor a network sees: plain numbers from which the transforms are rebuilt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from PIL import Image
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_choice, check_integer, check_number, check_positive
from topk_lightning.data._augmentation import Augmentation, augmentation
from topk_lightning.data._fixed_transform import Normalise, Resize, Steps, image_to_tensor
from topk_lightning.data.images import MAX_PIXELS, load_image

__all__ = ["STATISTICS", "Preprocessing", "check_resize", "check_statistics", "decoding_side"]

Statistics = tuple[tuple[float, ...], tuple[float, ...]]

# What pretrained networks were trained with: mean and standard deviation per channel.
STATISTICS: dict[str, Statistics] = {"imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}


@dataclass(frozen=True)
class Preprocessing:
    r"""Hold how images become tensors, as plain numbers that a checkpoint can keep.

    An image is resized, scaled to [0, 1] and normalised per channel: :math:`(x - \text{mean}) / \text{std}`.

    Args:
        image_size: side of the square that comes out, in pixels.
        mean: mean per channel, of pixels in [0, 1].
        std: standard deviation per channel, > 0.
        resize: "crop" (the shorter side becomes `image_size`, then the centre is cut out), "stretch", or the length of the
            shorter side before the centre is cut out, at least `image_size`.
        interpolation: "bilinear" or "bicubic".

    Raises:
        TypeError: numbers that are none.
        ValueError: numbers out of range.

    Examples:
        >>> import torch
        >>> half = Preprocessing(32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        >>> white = torch.full((3, 64, 64), 255, dtype=torch.uint8)
        >>> image = half.evaluation_transform()(white)
        >>> tuple(image.shape), image.mean().item()
        ((3, 32, 32), 1.0)
        >>> Preprocessing.from_dict(half.to_dict()) == half
        True
    """

    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: str | int = "crop"
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        check_integer("image_size", self.image_size)
        check_resize(self.resize, self.image_size)
        check_choice("interpolation", self.interpolation, ("bilinear", "bicubic"))
        mean, std = check_statistics((self.mean, self.std))
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "std", std)

    def to_dict(self) -> dict[str, Any]:
        """Return plain str, int and lists of float, which `torch.load(weights_only=True)` accepts."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Return the preprocessing that `to_dict` wrote."""
        missing = [name for name in ("image_size", "mean", "std") if name not in values]
        unknown = [name for name in values if name not in cls.__dataclass_fields__]
        if missing or unknown:
            actual = f"missing {missing}" if missing else f"unknown {unknown}"
            raise InvalidValueError(must("values", "be what Preprocessing.to_dict wrote", actual))
        return cls(**values)

    def load(self, path: str | Path | IO[bytes], max_pixels: int = MAX_PIXELS) -> Image.Image:
        """Return the image of a file for these transforms: upright RGB, a large JPEG at a fraction of its size.

        Args:
            path: file, or an open binary file.
            max_pixels: most pixels, as the file says and once resized.

        Raises:
            ValueError: a file that cannot be read, or of too many pixels; see :func:`topk_lightning.data.load_image`.
        """
        shorter_side = None if self.resize == "stretch" else self._shorter_side
        at_least = decoding_side(self.image_size)
        return load_image(path, at_least=at_least, max_pixels=max_pixels, shorter_side=shorter_side)

    def evaluation_transform(self) -> Callable[[Image.Image | Tensor], Tensor]:
        """Return the transform of evaluation: PIL image or uint8 tensor (..., 3, H, W) to float (..., 3, S, S)."""
        return Steps((image_to_tensor, self._resize, self._normalise))

    def training_transform(self, augment: Augmentation = "photos") -> Callable[[Image.Image | Tensor], Tensor]:
        """Return the transform of training: as in evaluation, with augmentation before the normalisation.

        Args:
            augment: "none", "photos", "drawings" as in :class:`topk_lightning.ImageFolderDataModule`, or any
                callable from a uint8 tensor (3, S, S) to one of the same shape, such as a torchvision v2 transform.
        """
        steps = augmentation(augment, self.image_size, self._resize)
        return Steps((image_to_tensor, *steps, self._normalise))

    def resize_only(self) -> Callable[[Image.Image | Tensor], Tensor]:
        """Return the first half of the evaluation transform: to a uint8 tensor (..., 3, S, S)."""
        return Steps((image_to_tensor, self._resize))

    @property
    def _resize(self) -> Resize:
        return Resize(self.image_size, None if self.resize == "stretch" else self._shorter_side, self.interpolation)

    @property
    def _normalise(self) -> Normalise:
        return Normalise(self.mean, self.std)

    @property
    def _shorter_side(self) -> int:
        return self.resize if isinstance(self.resize, int) else self.image_size


def check_resize(resize: str | int, image_size: int) -> str | int:
    """Return a way of resizing: a name, or the length of the shorter side."""
    if isinstance(resize, str):
        return check_choice("resize", resize, ("crop", "stretch"))
    return check_integer("resize", resize, minimum=image_size)


def decoding_side(image_size: int) -> int:
    """Return how long the sides of a JPEG stay at least where it is decoded for images of `image_size`.

    Twice the size, so that resizing and the random cuts of training lose nothing; 512 at least, so that networks of usual
    sizes decode, and digest, alike.
    """
    return max(512, 2 * image_size)


def check_statistics(statistics: str | Sequence[Sequence[float]]) -> Statistics:
    """Return mean and standard deviation as two tuples of three numbers, deviations above 0; a name is looked up."""
    if isinstance(statistics, str):
        return STATISTICS[check_choice("statistics", statistics, STATISTICS)]
    if len(statistics) != 2 or any(len(numbers) != 3 for numbers in statistics):
        raise InvalidValueError(must("statistics", "be a mean and a deviation of 3 channels each", statistics))
    mean = tuple(check_number("mean", value) for value in statistics[0])
    return mean, tuple(check_positive("std", value) for value in statistics[1])
