"""The k best classes of images: files, folders, PIL images or tensors, from a checkpoint or a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from topk_lightning._checks.options import check_choice, check_integer
from topk_lightning.decisions import PredictionSets
from topk_lightning.prediction._answers import Answer, Decider
from topk_lightning.prediction._image_sources import iterate_images
from topk_lightning.prediction._prepared_images import PreparedImages, batches
from topk_lightning.prediction._set_files import promised_sets
from topk_lightning.prediction._topk_predictions import TopKPrediction
from topk_lightning.prediction._trained_model import TrainedModel

__all__ = ["predict_answers", "predict_sets", "predict_topk"]


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

    decide = Decider(trained.class_names, k, trained.classes)
    single, answers, number = _predict(trained, images, decide, batch_size, on_bad_image, max_pixels, prepared)
    rows = {index: answer.predictions for index, answer in answers.items()}
    return rows[0] if single else [rows.get(index, ()) for index in range(number)]


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
        >>> shown = predict_sets(network, image, sets=sets, class_names=["ant", "bee", "cat"])
        >>> [each.label for each in shown]
        ['bee', 'cat']
    """
    trained = TrainedModel.load(model, network, class_names=class_names, preprocessing=preprocessing, trust=trust)
    if sets is None:
        is_adjusted = trained.adjustment is not None
        sets = trained.fitted.get("sets", trained.classes, str(trained.path or "CHECKPOINT"), is_adjusted)
    decide = Decider(trained.class_names, classes=trained.classes, sets=promised_sets(sets, coverage))
    single, answers, number = _predict(trained, images, decide, batch_size, on_bad_image, max_pixels, prepared)
    rows = {index: answer.predictions for index, answer in answers.items()}
    return rows[0] if single else [rows.get(index) for index in range(number)]


def predict_answers(
    model: str | Path | nn.Module | TrainedModel,
    images: Any,
    decide: Decider | None = None,
    *,
    network: nn.Module | str | None = None,
    batch_size: int = 32,
    on_bad_image: str = "skip",
    max_pixels: int | None = None,
    prepared: bool = False,
    trust: Iterable[str] = (),
) -> Answer | list[Answer | None]:
    """Return what is said of images: best classes or sets, the pile of a review, the level one is sure of.

    Args:
        model: as for :func:`predict_topk`.
        images: as there.
        decide: what is asked for; None: the k best, and the pile where the checkpoint holds a review plan.
        network: as there.
        batch_size: as there.
        on_bad_image: as there; an image that cannot be read is answered by None.
        max_pixels: as there.
        prepared: as there.
        trust: as there.

    Examples:
        >>> from topk_lightning.decisions import RollUp
        >>> network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())  # the mean of each channel
        >>> image = torch.tensor([0.0, 9.0, 9.0]).view(3, 1, 1).expand(3, 8, 8)
        >>> names = ["boston", "beagle", "basset"]
        >>> sure = RollUp.at(0.9, {"boston": "terrier", "beagle": "hound", "basset": "hound"}, names)
        >>> predict_answers(network, image, Decider(names, sure=sure)).sure.label
        'hound'
    """
    trained = TrainedModel.load(model, network, trust=trust)
    chosen = Decider.of(trained) if decide is None else decide
    single, answers, number = _predict(trained, images, chosen, batch_size, on_bad_image, max_pixels, prepared)
    return answers[0] if single else [answers.get(index) for index in range(number)]


def _predict(
    trained: TrainedModel,
    images: Any,
    decide: Decider,
    batch_size: int,
    on_bad_image: str,
    max_pixels: int | None,
    prepared: bool,
) -> tuple[bool, dict[int, Answer], int]:
    """Return whether there is one image, the answer to each that could be read by its place, and their number."""
    check_integer("batch_size", batch_size)
    check_choice("on_bad_image", on_bad_image, ("skip", "raise"))
    if max_pixels is not None:
        check_integer("max_pixels", max_pixels)
    single, source = iterate_images(images)
    images_of = PreparedImages(trained, source, prepared, max_pixels, skip=not single and on_bad_image == "skip")
    answers: dict[int, Answer] = {}
    with trained.evaluating(), torch.inference_mode():
        for indices, batch in batches(images_of, batch_size):
            answers.update(zip(indices, decide(trained.logits(batch)), strict=True))
    images_of.warn()
    return single, answers, images_of.number
