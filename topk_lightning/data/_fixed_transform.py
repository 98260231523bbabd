"""The transform of evaluation in torch alone, so that naming one picture need not import torchvision.

It is torchvision's v2.Resize, v2.CenterCrop, v2.ToDtype and v2.Normalize on tensors, number for number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning.data.images import to_rgb

__all__ = ["Normalise", "Resize", "Steps", "image_to_tensor"]


@dataclass(frozen=True)
class Steps:
    """Apply one step after the other."""

    steps: tuple[Callable[[Any], Tensor], ...]

    def __call__(self, image: Image.Image | Tensor) -> Tensor:
        """Return what the last step gives."""
        for step in self.steps:
            image = step(image)
        return image  # type: ignore[return-value]  # what begins as a picture is a tensor after the first step


@dataclass(frozen=True)
class Resize:
    """Resize a uint8 image (..., 3, H, W) to (..., 3, S, S), with antialiasing.

    Args:
        image_size: S, in pixels.
        shorter_side: what the shorter side becomes before the centre is cut out, at least S; None: the image is stretched.
        interpolation: "bilinear" or "bicubic".
    """

    image_size: int
    shorter_side: int | None = None
    interpolation: str = "bilinear"

    def __call__(self, image: Tensor) -> Tensor:
        """Return the resized image."""
        height, width = image.shape[-2:]
        if self.shorter_side is None:
            return self._resized(image, self.image_size, self.image_size)
        longer = int(self.shorter_side * max(height, width) / min(height, width))
        size = (longer, self.shorter_side) if width <= height else (self.shorter_side, longer)
        top, left = (round((side - self.image_size) / 2) for side in size)
        return self._resized(image, *size)[..., top : top + self.image_size, left : left + self.image_size]

    def _resized(self, image: Tensor, height: int, width: int) -> Tensor:
        if image.shape[-2:] == (height, width) or image.numel() == 0:
            return image if image.numel() else image.new_empty((*image.shape[:-2], height, width))
        # Torch resizes bytes on the CPU alone.
        pixels = image.reshape(-1, *image.shape[-3:]).to(image.dtype if image.device.type == "cpu" else torch.float32)
        resized = interpolate(
            pixels, size=[height, width], mode=self.interpolation, align_corners=False, antialias=True
        )
        if resized.dtype != image.dtype:
            resized = resized.clamp_(0, 255).round_().to(image.dtype)
        return resized.reshape(*image.shape[:-2], height, width)


@dataclass(frozen=True)
class Normalise:
    """Scale bytes (..., 3, H, W) to [0, 1], subtract the mean of each channel and divide by its deviation."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, image: Tensor) -> Tensor:
        """Return float32."""
        mean, std = (
            torch.tensor(numbers, dtype=torch.float32, device=image.device).view(-1, 1, 1)
            for numbers in (self.mean, self.std)
        )
        return image.to(torch.float32).mul_(1 / 255).sub_(mean).div_(std)


def image_to_tensor(image: Image.Image | Tensor) -> Tensor:
    """Return an image as a uint8 tensor (..., 3, H, W); a PIL image of any mode becomes RGB on white."""
    if isinstance(image, Image.Image):
        return torch.from_numpy(np.array(to_rgb(image))).permute(2, 0, 1)
    if not isinstance(image, Tensor) or image.dtype != torch.uint8:
        actual = f"a {image.dtype} tensor" if isinstance(image, Tensor) else type(image).__name__
        raise InvalidTypeError(must("image", "be a PIL image or a uint8 tensor", actual))
    if image.ndim < 3 or image.shape[-3] != 3:
        raise InvalidValueError(must("image", "have shape (..., 3, H, W)", tuple(image.shape)))
    return image
