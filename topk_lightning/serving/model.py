"""What the server asks of a checkpoint: bytes become a tensor, tensors become predictions, as in `predict_topk`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias, cast

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor, nn

from topk_lightning._checks.options import check_integer, check_k
from topk_lightning._checks.prediction import missing_preprocessing
from topk_lightning._checks.serving import RequestError, undecodable, unknown_kind
from topk_lightning.data import FORMATS, Preprocessing, TooLargeImageError, UnreadableImageError
from topk_lightning.prediction.predict_topk import device_of, load_trained, predict_topk
from topk_lightning.prediction.topk_predictions import TopKPrediction

__all__ = ["ServedModel", "TopKPredictions"]

TopKPredictions: TypeAlias = "tuple[TopKPrediction, ...]"


class ServedModel:
    """Hold the network of a checkpoint and answer for pictures as :func:`topk_lightning.predict_topk` does.

    Args:
        checkpoint: file that TopKClassifier saved with a data module's preprocessing.
        k: how many classes where a request does not say.
        max_pixels: of a picture, as its header says and as preprocessing resizes it.
        network: the network of a checkpoint that cannot name it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a checkpoint of something else or without preprocessing, or k > C.
    """

    def __init__(self, checkpoint: str | Path, k: int, max_pixels: int, network: nn.Module | None = None) -> None:
        trained = load_trained(checkpoint, network)
        if trained.preprocessing is None:
            raise missing_preprocessing()
        preprocessing = Preprocessing.from_dict(trained.preprocessing)
        self.max_pixels = check_integer("max_pixels", max_pixels)
        self._transform = preprocessing.evaluation_transform()
        self._preprocessing = preprocessing
        self._network, self._class_names = trained.network.eval(), trained.class_names
        # One answer before anybody asks: the first is slow, and it says how many classes there are.
        blank = self._transform(Image.new("RGB", (preprocessing.image_size,) * 2))
        with torch.inference_mode():
            self.num_classes = self._network(blank[None].to(device_of(self._network))).shape[1]
        self.k = check_k(k, self.num_classes)

    def prepare(self, data: bytes) -> Tensor:
        """Return the tensor (3, S, S) of a picture; size and kind are checked before a pixel is decoded.

        Raises:
            RequestError: too many pixels, an unknown kind, or a broken picture.
        """
        try:
            rgb = self._preprocessing.load(io.BytesIO(data), self.max_pixels)
        except TooLargeImageError as error:
            raise RequestError(413, error.sentence) from None
        except UnreadableImageError as error:
            if isinstance(error.__cause__, UnidentifiedImageError):
                raise unknown_kind(FORMATS, len(data)) from None
            raise undecodable(str(error)) from None
        prepared: Tensor = self._transform(rgb)
        return prepared

    def predict(self, asked: Sequence[tuple[Tensor, int]]) -> list[TopKPredictions]:
        """Return the k best classes of each (tensor, k), of all tensors in one batch."""
        images, ks = zip(*asked, strict=True)
        rows = predict_topk(self._network, images, max(ks), class_names=self._class_names, batch_size=len(images))
        return [cast("TopKPredictions", row)[:k] for row, k in zip(rows, ks, strict=True)]
