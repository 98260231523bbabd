"""The k best classes of images: files, folders, PIL images or tensors, from a checkpoint or a model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from topk_lightning._checks import InvalidValueError
from topk_lightning._checks.options import check_choice, check_integer
from topk_lightning.decisions import PredictionSets
from topk_lightning.prediction._image_sources import iterate_images, opened
from topk_lightning.prediction._set_files import promised_sets
from topk_lightning.prediction._topk_predictions import TopKPrediction, topk_predictions
from topk_lightning.prediction._trained_model import TrainedModel

__all__ = ["predict_sets", "predict_topk"]


def predict_topk(
    model: str | Path | nn.Module | TrainedModel,
    images: Any,
    k: int | None = None,
    *,
    network: nn.Module | str | None = None,
    class_names: Sequence[str] | Mapping[Any, Any] | None = None,
    preprocessing: Any = None,
    logit_adjustment: float = 0.0,
    batch_size: int = 32,
    on_bad_image: str = "skip",
    max_pixels: int | None = None,
    prepared: bool = False,
    trust: Iterable[str] = (),
) -> tuple[TopKPrediction, ...] | list[tuple[TopKPrediction, ...]]:
    """Return the k best classes of images, best first, with names and probabilities.

    Files, PIL images, NumPy arrays and uint8 tensors are prepared as the model was trained; a floating-point tensor is
    taken as already prepared, but for values that only pixels have. Images are read and predicted batch by batch, so that memory does not grow with their number. The
    model is in evaluation mode meanwhile and gets its training mode back.

    Args:
        model: path of a checkpoint that TopKClassifier saved (it is read with ``weights_only=True``), a TopKClassifier, any
            nn.Module that returns logits (N, C), or a :class:`TrainedModel`.
        images: a file, a PIL image, an array (H, W) or (H, W, channels) of uint8 or a tensor (3, H, W) gives one tuple; a
            folder (searched recursively, in the order of :func:`list_images`), an array (N, H, W, channels), a tensor
            (N, 3, H, W) or an iterable of any of these gives a list.
        k: how many classes, 1 ≤ k ≤ C; None: 5, or all where there are fewer.
        network: the network of a checkpoint that cannot name it, or "package.module:function" that returns it.
        class_names: a list, {index: name} or {name: index}; None: those of the model.
        preprocessing: a Preprocessing or the dict of one; None: that of the model.
        logit_adjustment: strength of the adjustment for classes of unequal frequency, 1 for scores as if all were equally
            frequent: for a model that plain cross entropy has trained on a data module, whose counts its checkpoint keeps.
        batch_size: images at a time, at least 1.
        on_bad_image: what becomes of one of several images that cannot be read: "skip", it is answered by an empty tuple
            and named in a warning at the end, or "raise".
        max_pixels: most pixels of a file, as it says and once it is resized; None: 178,956,970. A larger one is not read.
        prepared: floating-point tensors are prepared whatever their values are.
        trust: packages of others that a checkpoint may name; importing them runs their code.

    Returns:
        One tuple of k :class:`TopKPrediction`, or a list of them in the order of the images.

    Raises:
        FileNotFoundError: a path where nothing is.
        ValueError: a file that is no image, a folder without one, k > C, a checkpoint of something else, a network that
            has to be passed, a model without preprocessing, or an adjustment that it must not have.
        TypeError: something that is no image.
        ModuleNotFoundError: images to be read where torchvision is not installed.

    Examples:
        >>> network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())  # the mean of each channel
        >>> image = torch.tensor([0.0, 2.0, 1.0]).view(3, 1, 1).expand(3, 8, 8)
        >>> best = predict_topk(network, image, k=2, class_names=["ant", "bee", "cat"])
        >>> [prediction.label for prediction in best]
        ['bee', 'cat']
    """
    trained = TrainedModel.load(
        model,
        network,
        class_names=class_names,
        preprocessing=preprocessing,
        logit_adjustment=logit_adjustment,
        trust=trust,
    )

    def best(logits: Tensor) -> Any:
        return topk_predictions(logits, trained.class_names, k, input="logits")

    single, predictions, number = _predict(trained, images, best, batch_size, on_bad_image, max_pixels, prepared)
    return predictions[0] if single else [predictions.get(position, ()) for position in range(number)]


def predict_sets(
    model: str | Path | nn.Module | TrainedModel,
    images: Any,
    coverage: float | None = None,
    *,
    sets: PredictionSets | None = None,
    network: nn.Module | str | None = None,
    class_names: Sequence[str] | Mapping[Any, Any] | None = None,
    preprocessing: Any = None,
    batch_size: int = 32,
    on_bad_image: str = "skip",
    max_pixels: int | None = None,
    prepared: bool = False,
    trust: Iterable[str] = (),
) -> tuple[TopKPrediction, ...] | list[tuple[TopKPrediction, ...] | None]:
    """Return as few classes of each image as possible, the right one among them as often as was promised, best first.

    Images are read and prepared as by :func:`predict_topk`, whose options these are.

    Args:
        model: as there.
        images: as there.
        coverage: the promise in (0, 1), such as 0.9; None: that of the fit.
        sets: fitted for this model; None: those in its checkpoint, which ``topk-lightning sets`` puts there.
        network: as there.
        class_names: as there.
        preprocessing: as there.
        batch_size: as there.
        on_bad_image: as there; an image that cannot be read is answered by None.
        max_pixels: as there.
        prepared: as there.
        trust: as there.

    Returns:
        A tuple of :class:`TopKPrediction` for one image, of any length: empty where no class is likely enough and the sets
        may be empty, or where the scores are no numbers; or a list in the order of the images.

    Raises:
        ValueError: no sets, and what :func:`predict_topk` raises.

    Examples:
        >>> from topk_lightning import PredictionSets
        >>> network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())  # the mean of each channel
        >>> validation = torch.tensor([[2.0, 1.9, 0.0]]).expand(9, 3)
        >>> sets = PredictionSets(coverage=0.9).fit(validation, torch.ones(9, dtype=torch.int64))
        >>> image = torch.tensor([0.0, 2.0, 1.95]).view(3, 1, 1).expand(3, 8, 8)
        >>> [each.label for each in predict_sets(network, image, sets=sets, class_names=["ant", "bee", "cat"])]
        ['bee', 'cat']
    """
    trained = TrainedModel.load(model, network, class_names=class_names, preprocessing=preprocessing, trust=trust)
    is_adjusted = sets is None and trained.adjustment is not None
    chosen = promised_sets(
        trained.sets if sets is None else sets, coverage, str(trained.path or "CHECKPOINT"), is_adjusted
    )

    def shown(logits: Tensor) -> Any:
        return chosen.predict(logits, trained.class_names)

    single, predictions, number = _predict(trained, images, shown, batch_size, on_bad_image, max_pixels, prepared)
    return predictions[0] if single else [predictions.get(position) for position in range(number)]


def _predict(
    trained: TrainedModel,
    images: Any,
    rows_of: Callable[[Tensor], Any],
    batch_size: int,
    on_bad_image: str,
    max_pixels: int | None,
    prepared: bool,
) -> tuple[bool, dict[int, tuple[TopKPrediction, ...]], int]:
    """Return whether there is one image, the answer to each that could be read by its place, and their number."""
    check_integer("batch_size", batch_size)
    check_choice("on_bad_image", on_bad_image, ("skip", "raise"))
    if max_pixels is not None:
        check_integer("max_pixels", max_pixels)
    single, source = iterate_images(images)
    images_of = _Prepared(trained, source, prepared, max_pixels, skip=not single and on_bad_image == "skip")
    predictions: dict[int, tuple[TopKPrediction, ...]] = {}
    with trained.evaluating(), torch.inference_mode():
        for places, batch in _batches(images_of, batch_size):
            predictions.update(zip(places, rows_of(trained.logits(batch)), strict=True))
    images_of.warn()
    return single, predictions, images_of.number


class _Prepared:
    """Iterates over the places and tensors of the images that can be read, and keeps what is wrong with the others."""

    def __init__(
        self, model: TrainedModel, images: Iterable[Any], prepared: bool, max_pixels: int | None, skip: bool
    ) -> None:
        self.number, self.sentences = 0, list[str]()
        self._model, self._images, self._prepared, self._skip = model, images, prepared, skip
        self._max_pixels = max_pixels

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        for position, image in enumerate(self._images):
            self.number = position + 1
            try:
                opened_image = opened(image, self._model.preprocessing, self._max_pixels)
                tensor = self._model.prepare(opened_image, self._prepared)
            except InvalidValueError as error:
                from topk_lightning.data import UnreadableImageError

                if not self._skip or not isinstance(error, UnreadableImageError):
                    raise
                self.sentences.append(str(error))
                continue
            yield position, tensor

    def warn(self) -> None:
        """Name the images that could not be read."""
        if self.sentences:
            from topk_lightning.data import BadImageWarning

            some = " ".join(self.sentences[:20]) + (" And others." if len(self.sentences) > 20 else "")
            sentence = f"{len(self.sentences)} of {self.number} images cannot be read. {some}"
            warnings.warn(sentence, BadImageWarning, stacklevel=4)


def _batches(images: Iterable[tuple[int, Tensor]], batch_size: int) -> Iterator[tuple[list[int], Tensor]]:
    """Stack neighbours of one size, with their places."""
    batch: list[tuple[int, Tensor]] = []
    for position, image in images:
        if batch and (len(batch) == batch_size or image.shape != batch[0][1].shape):
            yield [position for position, _ in batch], torch.stack([tensor for _, tensor in batch])
            batch = []
        batch.append((position, image))
    if batch:
        yield [position for position, _ in batch], torch.stack([tensor for _, tensor in batch])
