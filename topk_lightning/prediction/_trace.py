"""What happens to one picture: layer by layer, then softmax, then the k best classes beside the true one."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.class_names import distinct_names
from topk_lightning._checks.options import check_integer
from topk_lightning.networks.compiled import original_module
from topk_lightning.networks.misfit import misfit
from topk_lightning.prediction._image_sources import iterate_images, opened
from topk_lightning.prediction._layers import recorded_layers
from topk_lightning.prediction._prediction_trace import PredictionTrace
from topk_lightning.prediction._topk_predictions import topk_predictions
from topk_lightning.prediction._trained_model import TrainedModel
from topk_lightning.ranking import target_rank

__all__ = ["trace_prediction"]


def trace_prediction(
    model: str | Path | nn.Module | TrainedModel,
    image: Any,
    class_names: Sequence[str] | Mapping[Any, Any] | None = None,
    k: int | None = None,
    target: int | str | None = None,
    *,
    network: nn.Module | str | None = None,
    preprocessing: Any = None,
    num_maps: int = 8,
    max_pixels: int | None = None,
    trust: Iterable[str] = (),
) -> PredictionTrace:
    """Return what each layer of a model does with one image, the softmax, and the check of the true class.

    A layer is a module within which no other one is called, or one with parameters of its own. What a network does
    outside of its modules, such as the sum at the end of a residual block, is not listed; neither are identities and
    dropout, which do nothing here. The prediction is the one of
    :func:`topk_lightning.predict_topk`. Where a layer does not fit the image, the trace ends before it and its `problem` says
    which number the layer should have. The model is in evaluation mode meanwhile and gets its training mode back; hooks
    are gone afterwards, and no gradient is kept.

    Args:
        model: path of a checkpoint that TopKClassifier saved, a TopKClassifier, or any nn.Module that returns logits.
        image: a file, a PIL image, or a tensor (3, H, W) or (1, 3, H, W); floating-point ones are taken as prepared.
        class_names: a list, {index: name} or {name: index}; None: those of the model.
        k: how many classes count as best, 1 ≤ k ≤ C; None: 5, or all where there are fewer.
        target: the true class, as an index or a name; None where it is not known.
        network: the network of a checkpoint that cannot name it, or "package.module:function" that returns it.
        preprocessing: a Preprocessing or the dict of one; None: that of the model.
        num_maps: how many feature maps of a layer are kept, at least 1.
        max_pixels: most pixels of a file, as it says and once it is resized; None: 178,956,970.
        trust: packages of others that a checkpoint may name; importing them runs their code.

    Raises:
        FileNotFoundError: a path where nothing is.
        ValueError: not one image, an unknown true class, k > C, or what :func:`topk_lightning.predict_topk` refuses.
        TypeError: something that is no image, or a model that returns something else than logits.

    Examples:
        >>> network = nn.Sequential(nn.Conv2d(3, 4, kernel_size=3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> trace = trace_prediction(
        ...     network, torch.rand(3, 8, 8), ["ant", "bee", "cat", "dog"], k=4, target="cat"
        ... )
        >>> for layer in trace.layers:
        ...     print(layer.name, layer.kind, layer.shapes[0], layer.parameters)
        0 Conv2d (1, 4, 6, 6) 112
        1 AdaptiveAvgPool2d (1, 4, 1, 1) 0
        2 Flatten (1, 4) 0
        >>> trace.in_topk
        True
    """
    num_maps = check_integer("num_maps", num_maps)
    if max_pixels is not None:
        check_integer("max_pixels", max_pixels)
    trained = TrainedModel.load(model, network, class_names=class_names, preprocessing=preprocessing, trust=trust)
    # A compiled network runs as one piece, without its layers.
    trained = replace(trained, network=original_module(trained.network))
    given = _only(iterate_images(image)[1])
    prepared = trained.prepare(opened(given, trained.preprocessing, max_pixels))
    failure, problem = None, ""
    with trained.evaluating(), torch.no_grad(), recorded_layers(trained.network, num_maps) as layers:
        try:
            logits = trained.logits(prepared.unsqueeze(0))[0].cpu()
        except (RuntimeError, ValueError) as error:
            failure = error
    if failure is not None:
        said = misfit(trained.network, prepared.unsqueeze(0).to(trained.device))
        if said is None:
            raise failure
        problem = str(said)
    kind, parameters = type(trained.network).__name__, sum(p.numel() for p in trained.network.parameters())
    if problem:
        return PredictionTrace(
            kind,
            parameters,
            trained.picture(prepared),
            tuple(layers),
            torch.empty(0),
            torch.empty(0),
            (),
            problem=problem,
        )
    names = trained.class_names
    labels = None if names is None else distinct_names(names)
    predictions = topk_predictions(logits, names, k, input="logits")
    index = None if target is None else _true_class(target, names, len(logits))
    rank = None if index is None else int(target_rank(logits.unsqueeze(0), torch.tensor([index])))
    return PredictionTrace(
        kind=kind,
        parameters=parameters,
        picture=trained.picture(prepared),
        layers=tuple(layers),
        logits=logits,
        probabilities=logits.softmax(0, dtype=torch.float64 if logits.dtype == torch.float64 else torch.float32),
        predictions=predictions,  # type: ignore[arg-type]
        target=index,
        target_name=None if index is None else str(index) if labels is None else labels[index],
        target_rank=rank,
    )


def _only(images: Iterator[Any]) -> Any:
    """Return the only image of an iterator."""
    first = list(itertools.islice(images, 2))
    if len(first) != 1:
        raise InvalidValueError(must("image", "be one image", "more than one" if first else "none"))
    return first[0]


def _true_class(target: object, class_names: Sequence[str] | None, num_classes: int) -> int:
    """Return the index of the true class, which is given as an index, also as text, or as a name."""
    if isinstance(target, str) and target.isdecimal() and target not in (class_names or ()):
        target = int(target)
    if not isinstance(target, str):
        index = check_integer("target", target, 0)
        if index >= num_classes:
            raise InvalidValueError(must("target", f"be a class index in [0, {num_classes}) or a class name", index))
        return index
    if class_names is None:
        raise InvalidValueError(must("target", "be a class index, as the model has no class names", repr(target)))
    if target not in class_names:
        near = difflib.get_close_matches(target, class_names, 1)
        raise InvalidValueError(
            must("target", "be the name of a class", repr(target), f"Did you mean {near[0]!r}?" if near else "")
        )
    return list(class_names).index(target)
