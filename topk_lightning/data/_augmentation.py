"""Random changes of the training images, from torchvision's v2 transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from topk_lightning._checks import InvalidTypeError, must
from topk_lightning._checks.options import check_choice
from topk_lightning.data._torchvision import import_torchvision

__all__ = ["Augmentation", "augmentation", "check_augment"]

Augmentation = str | Callable[[Tensor], Tensor]


def check_augment(augment: object) -> None:
    """Refuse what is neither the name of an augmentation nor a callable."""
    if isinstance(augment, str):
        check_choice("augment", augment, ("none", "photos", "randaugment", "trivialaugment", "drawings"))
    elif not callable(augment):
        raise InvalidTypeError(must("augment", "be a name or a callable", type(augment).__name__))


def augmentation(augment: Augmentation, image_size: int, resize: Callable[[Tensor], Tensor]) -> list[Any]:
    """Return the steps from a uint8 image of any size to an augmented one of `image_size`.

    - "none": the resizing of evaluation, nothing random.
    - "photos": a random cut of 35 to 100 % of the area, mirrored half the time, brightness, contrast and saturation
      up to 30 % up or down.
    - "randaugment", "trivialaugment": the random cut and the mirror of "photos", then torchvision's RandAugment (two of its
      changes) or TrivialAugmentWide (one, of any strength).
    - "drawings": the resizing of evaluation, then rotation (20°), shift (12 %), scale (0.75 to 1.25) and shear (15°)
      on white ground, brightness and contrast up to 30 %, saturation up to 60 %, grey in one of ten. Not mirrored:
      arrows, letters and half moons mean something else then.

    Args:
        augment: one of these names, or a callable from uint8 (3, S, S) to uint8 (3, S, S) that follows the resizing.
        image_size: side S of the result in pixels.
        resize: the resizing of evaluation.
    """
    check_augment(augment)
    if not isinstance(augment, str):
        return [resize, augment]
    if augment == "none":
        return [resize]
    v2 = import_torchvision("augment")
    if augment != "drawings":
        changes = {
            "photos": lambda: v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3),
            "randaugment": v2.RandAugment,
            "trivialaugment": v2.TrivialAugmentWide,
        }
        cut = v2.RandomResizedCrop([image_size, image_size], scale=(0.35, 1.0), antialias=True)
        return [cut, v2.RandomHorizontalFlip(), changes[augment]()]
    affine = v2.RandomAffine(
        degrees=20,
        translate=(0.12, 0.12),
        scale=(0.75, 1.25),
        shear=15,
        interpolation=v2.InterpolationMode.BILINEAR,
    )
    # Turned inside out around the affine map: black ground blends into a drawing's edge, while a white `fill` leaves a
    # dark seam there.
    invert = v2.RandomInvert(1.0)
    return [
        resize,
        invert,
        affine,
        invert,
        v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.6),
        v2.RandomGrayscale(0.1),
    ]
