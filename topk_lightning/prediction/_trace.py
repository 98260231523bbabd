"""What happens to one picture: layer by layer, then softmax, then the k best classes beside the true one."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from torch import Tensor, nn

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.class_names import distinct_names
from topk_lightning._checks.options import check_integer
from topk_lightning.drawing import visible_text
from topk_lightning.networks.compiled import original_module
from topk_lightning.prediction._image_sources import iterate_images
from topk_lightning.prediction._layers import LayerTrace, recorded_layers
from topk_lightning.prediction._topk_predictions import TopKPrediction, topk_predictions
from topk_lightning.prediction._trained_model import TrainedModel
from topk_lightning.ranking import target_rank

__all__ = ["PredictionTrace", "trace_prediction"]

_BAR = 20  # characters for a probability of 1


@dataclass(frozen=True, eq=False)
class PredictionTrace:
    """Hold how a network came to its k best classes for one image; ``rich.print(trace)`` shows it as a table.

    Args:
        kind: the name of the network's class.
        parameters: how many numbers the network has learned, those of layers that were not called included.
        picture: the image as the network saw it, (H, W, channels) in [0, 1]; stretched to that range where it is not
            known how it was normalised.
        layers: each call of a layer, in the order in which they ended.
        logits: the output of the network, (C,).
        probabilities: their softmax, (C,).
        predictions: the k best classes, best first.
        target: index of the true class; None where it is not known.
        target_name: its name.
        target_rank: how many classes stand ahead of it, as :func:`topk_lightning.target_rank` counts: 0 is best.
    """

    kind: str
    parameters: int
    picture: Tensor
    layers: tuple[LayerTrace, ...]
    logits: Tensor
    probabilities: Tensor
    predictions: tuple[TopKPrediction, ...]
    target: int | None = None
    target_name: str | None = None
    target_rank: int | None = None

    @property
    def in_topk(self) -> bool | None:
        """Whether the true class is among the k best; None where it is not known."""
        return None if self.target_rank is None else self.target_rank < len(self.predictions)

    @property
    def verdict(self) -> str:
        """A sentence about the true class; "" where it is not known."""
        if self.target_rank is None:
            return ""
        place, found = (
            f"rank {self.target_rank + 1:,} of {len(self.logits):,}",
            "within" if self.in_topk else "not within",
        )
        return f"The true class {self.target_name!r} has {place}: {found} the top {len(self.predictions)}."

    def __rich__(self) -> RenderableType:
        verdict = [Text("\n" + visible_text(self.verdict))] if self.verdict else []
        tables = _layer_table(self), Text(_total(self) + "\n"), Text(_softmax(self)), _class_table(self)
        return Group(*tables, *verdict)


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
    trust: Iterable[str] = (),
) -> PredictionTrace:
    """Return what each layer of a model does with one image, the softmax, and the check of the true class.

    A layer is a module within which no other one is called, or one with parameters of its own. What a network does
    outside of its modules, such as the sum at the end of a residual block, is not listed; neither are identities and
    dropout, which do nothing here. The prediction is the one of
    :func:`topk_lightning.predict_topk`. The model is in evaluation mode meanwhile and gets its training mode back; hooks
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
        trust: packages of others that a checkpoint may name; importing them runs their code.

    Raises:
        FileNotFoundError: a path where nothing is.
        ValueError: not one image, an unknown true class, k > C, or what :func:`topk_lightning.predict_topk` refuses.
        TypeError: something that is no image, or a model that returns something else than logits.

    Examples:
        >>> network = nn.Sequential(nn.Conv2d(3, 4, kernel_size=3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> trace = trace_prediction(network, torch.rand(3, 8, 8), ["ant", "bee", "cat", "dog"], k=4, target="cat")
        >>> for layer in trace.layers:
        ...     print(layer.name, layer.kind, layer.shapes[0], layer.parameters)
        0 Conv2d (1, 4, 6, 6) 112
        1 AdaptiveAvgPool2d (1, 4, 1, 1) 0
        2 Flatten (1, 4) 0
        >>> trace.in_topk
        True
    """
    num_maps = check_integer("num_maps", num_maps)
    trained = TrainedModel.load(model, network, class_names=class_names, preprocessing=preprocessing, trust=trust)
    # A compiled network runs as one piece, without its layers.
    trained = replace(trained, network=original_module(trained.network))
    prepared = trained.prepare(_only(iterate_images(image)[1]))
    with trained.evaluating(), torch.no_grad(), recorded_layers(trained.network, num_maps) as layers:
        logits = trained.logits(prepared.unsqueeze(0))[0].cpu()
    names = trained.class_names
    labels = None if names is None else distinct_names(names)
    predictions = topk_predictions(logits, names, k, input="logits")
    index = None if target is None else _true_class(target, names, len(logits))
    rank = None if index is None else int(target_rank(logits.unsqueeze(0), torch.tensor([index])))
    return PredictionTrace(
        kind=type(trained.network).__name__,
        parameters=sum(parameter.numel() for parameter in trained.network.parameters()),
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


def _layer_table(trace: PredictionTrace) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("layer", overflow="fold")
    table.add_column("kind", overflow="fold")
    table.add_column("output", justify="right", overflow="fold")
    table.add_column("parameters", justify="right")
    height, width, channels = trace.picture.shape
    table.add_row("image", "", _shape((1, channels, height, width)), "")
    for layer in trace.layers:
        outputs = ", ".join(_shape(shape) for shape in layer.shapes) or "–"
        table.add_row(Text(visible_text(_name(layer))), Text(layer.kind), outputs, f"{layer.parameters:,}")
    return table


def _name(layer: LayerTrace) -> str:
    again = f" (call {layer.call})" if layer.call > 1 else ""
    return (layer.name or "(the network itself)") + again


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "1 number"


def _total(trace: PredictionTrace) -> str:
    used = sum(layer.parameters for layer in trace.layers)
    unused = f", {trace.parameters - used:,} of them in layers that were not called" if used < trace.parameters else ""
    return f"{trace.kind}: {trace.parameters:,} parameters{unused}."


def _softmax(trace: PredictionTrace) -> str:
    low, high = trace.logits.min().item(), trace.logits.max().item()
    return f"Softmax turns {len(trace.logits):,} logits from {low:.2f} to {high:.2f} into probabilities that sum to 1."


def _class_table(trace: PredictionTrace) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("rank", justify="right")
    table.add_column("class", overflow="fold")
    table.add_column("logit", justify="right")
    table.add_column("probability", justify="right")
    table.add_column("", no_wrap=True)
    rows = [(rank, p.index, p.label) for rank, p in enumerate(trace.predictions, 1)]
    if trace.in_topk is False and trace.target is not None and trace.target_rank is not None:
        rows.append((trace.target_rank + 1, trace.target, str(trace.target_name)))
    for rank, index, label in rows:
        style = "bold green" if index == trace.target else ""
        mark = " ✓" if index == trace.target and trace.in_topk else ""
        probability = trace.probabilities[index].item()
        name, bar = Text(visible_text(label) + mark, style=style), Text("█" * round(_BAR * probability), style="blue")
        table.add_row(str(rank), name, f"{trace.logits[index].item():.2f}", f"{probability:.3f}", bar)
    return table
