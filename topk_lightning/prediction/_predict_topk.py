"""The k best classes of images: files, folders, PIL images or tensors, from a checkpoint or a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from topk_lightning._checks.options import check_integer
from topk_lightning.prediction._image_sources import iterate_images
from topk_lightning.prediction._topk_predictions import TopKPrediction, topk_predictions
from topk_lightning.prediction._trained_model import TrainedModel

__all__ = ["predict_topk"]


def predict_topk(
    model: str | Path | nn.Module | TrainedModel,
    images: Any,
    k: int = 5,
    *,
    network: nn.Module | str | None = None,
    class_names: Sequence[str] | Mapping[Any, Any] | None = None,
    preprocessing: Any = None,
    batch_size: int = 32,
    trust: Iterable[str] = (),
) -> tuple[TopKPrediction, ...] | list[tuple[TopKPrediction, ...]]:
    """Return the k best classes of images, best first, with names and probabilities.

    Files, PIL images and uint8 tensors are prepared as the model was trained; a floating-point tensor is taken as
    already prepared. Images are read and predicted batch by batch, so that memory does not grow with their number. The
    model is in evaluation mode meanwhile and gets its training mode back.

    Args:
        model: path of a checkpoint that TopKClassifier saved (it is read with ``weights_only=True``), a TopKClassifier, any
            nn.Module that returns logits (N, C), or a :class:`TrainedModel`.
        images: a file, a PIL image or a tensor (3, H, W) gives one tuple; a folder (searched recursively, in the order of
            :func:`list_images`), a tensor (N, 3, H, W) or an iterable of any of these gives a list.
        k: how many classes, 1 ≤ k ≤ C.
        network: the network of a checkpoint that cannot name it, or "package.module:function" that returns it.
        class_names: a list, {index: name} or {name: index}; None: those of the model.
        preprocessing: a Preprocessing or the dict of one; None: that of the model.
        batch_size: images at a time, at least 1.
        trust: packages of others that a checkpoint may name; importing them runs their code.

    Returns:
        One tuple of k :class:`TopKPrediction`, or a list of them in the order of the images.

    Raises:
        FileNotFoundError: a path where nothing is.
        ValueError: a file that is no image, a folder without one, k > C, a checkpoint of something else, a network that
            has to be passed, or a model without preprocessing.
        TypeError: something that is no image.
        ModuleNotFoundError: images to be read where torchvision is not installed.

    Examples:
        >>> network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())  # the mean of each channel
        >>> image = torch.tensor([0.0, 2.0, 1.0]).view(3, 1, 1).expand(3, 8, 8)
        >>> best = predict_topk(network, image, k=2, class_names=["ant", "bee", "cat"])
        >>> [prediction.label for prediction in best]
        ['bee', 'cat']
    """
    check_integer("batch_size", batch_size)
    trained = TrainedModel.load(model, network, class_names=class_names, preprocessing=preprocessing, trust=trust)
    single, source = iterate_images(images)
    predictions: list[tuple[TopKPrediction, ...]] = []
    with trained.evaluating(), torch.inference_mode():
        for batch in _batches(map(trained.prepare, source), batch_size):
            predictions += topk_predictions(trained.logits(batch), trained.class_names, k, input="logits")  # type: ignore[arg-type]
    return predictions[0] if single else predictions


def _batches(images: Iterable[Tensor], batch_size: int) -> Iterator[Tensor]:
    """Stack neighbours of one size."""
    batch: list[Tensor] = []
    for image in images:
        if batch and (len(batch) == batch_size or image.shape != batch[0].shape):
            yield torch.stack(batch)
            batch = []
        batch.append(image)
    if batch:
        yield torch.stack(batch)
