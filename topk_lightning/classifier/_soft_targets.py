"""MixUp, CutMix and label smoothing of training batches, for any loss that takes distributions over classes."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_number
from topk_lightning._checks.scores import check_labels
from topk_lightning.data import import_torchvision

__all__ = ["SoftTargets"]


class SoftTargets:
    """Mix the images of a training batch and soften its targets, as far as that was asked for.

    Args:
        num_classes: number of classes C.
        label_smoothing: share of the target in [0, 1) that is spread evenly over all classes; 0: none.
        mixup: parameter α > 0 of MixUp, which mixes pairs of images in proportions from Beta(α, α); 0: none.
        cutmix: the same of CutMix, which puts a part of one image into another. With both, each batch draws one of them.

    Raises:
        ValueError: a number out of its range; torchvision, which mixes, is imported with the first batch.

    Source:
        Zhang et al., mixup, 2018; Yun et al., CutMix, 2019; Szegedy et al., Rethinking the Inception architecture, 2016,
        section 7. Mixing is torchvision's, ``transforms.v2``.

    Examples:
        >>> _, target = SoftTargets(4, label_smoothing=0.2)(torch.zeros(1, 3, 8, 8), torch.tensor([1]))
        >>> target
        tensor([[0.0500, 0.8500, 0.0500, 0.0500]])
    """

    def __init__(
        self, num_classes: int, *, label_smoothing: float = 0.0, mixup: float = 0.0, cutmix: float = 0.0
    ) -> None:
        self.num_classes = num_classes
        self.label_smoothing = check_number("label_smoothing", label_smoothing)
        if not 0 <= self.label_smoothing < 1:
            raise InvalidValueError(must("label_smoothing", "be at least 0 and below 1", label_smoothing))
        self.alphas: dict[str, float] = {}
        for name, alpha in (("mixup", mixup), ("cutmix", cutmix)):
            if check_number(name, alpha) < 0:
                raise InvalidValueError(must(name, "be at least 0", alpha, "It is the α of Beta(α, α); 0: none."))
            if alpha:
                self.alphas[name] = float(alpha)

    def __call__(self, images: Any, target: Any, ignore_index: int | None = None) -> tuple[Any, Any]:
        """Return images and target of a batch, without rows that the loss ignores where anything is to be done.

        Shape:
            images (N, channels, H, W), target (N,) of class indices or (N, C) of distributions, to a float target (N, C).
            Anything else stays as it is, for those who say what is wrong with it.
        """
        if not self.alphas and not self.label_smoothing:
            return images, target
        if not isinstance(target, Tensor) or not isinstance(images, Tensor) or len(target) != len(images):
            return images, target
        if not target.is_floating_point():
            if target.ndim != 1:
                return images, target
            if ignore_index is not None and (counts := target != ignore_index).any():
                images, target = images[counts], target[counts]
            check_labels(target, self.num_classes)
            target = torch.nn.functional.one_hot(target.long(), self.num_classes).float()
        if self.alphas and images.ndim == 4:
            images, target = self._mix(images, target)
        return images, target * (1 - self.label_smoothing) + self.label_smoothing / self.num_classes

    @cached_property
    def _mix(self) -> Any:
        v2 = import_torchvision(" and ".join(self.alphas))
        mixes = [
            {"mixup": v2.MixUp, "cutmix": v2.CutMix}[name](alpha=alpha, num_classes=self.num_classes)
            for name, alpha in self.alphas.items()
        ]
        return mixes[0] if len(mixes) == 1 else v2.RandomChoice(mixes)
