"""What happened to one picture on its way through a network, as a table for people."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from torch import Tensor

from topk_lightning._repr import html_picture, html_table, html_text
from topk_lightning.drawing import NamedPicture, draw_picture, draw_predictions, new_figure, png_of, visible_text
from topk_lightning.prediction._layers import LayerTrace
from topk_lightning.prediction._topk_predictions import TopKPrediction

__all__ = ["PredictionTrace"]

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
        problem: the sentence about the layer that does not fit the image; the layers are those up to it, and there are no
            logits and no predictions. "" where all fit.
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
    problem: str = ""

    @property
    def in_topk(self) -> bool | None:
        """Whether the true class is among the k best; None where it is not known."""
        return None if self.target_rank is None else self.target_rank < len(self.predictions)

    @property
    def verdict(self) -> str:
        """A sentence about the true class; "" where it is not known."""
        if self.target_rank is None:
            return ""
        rank, verdict = (
            f"rank {self.target_rank + 1:,} of {len(self.logits):,}",
            "within" if self.in_topk else "not within",
        )
        return f"The true class {self.target_name!r} has {rank}: {verdict} the top {len(self.predictions)}."

    def __repr__(self) -> str:
        best = "" if not self.predictions else f", {self.predictions[0]}"
        return f"{type(self).__name__}({self.kind}, {len(self.layers)} layers{best}{self.problem and f', {self.problem!r}'})"

    def _repr_html_(self) -> str:
        layers = [
            [_name(layer), layer.kind, ", ".join(map(_shape, layer.shapes)), layer.parameters] for layer in self.layers
        ]
        table = html_table(["layer", "kind", "output", "parameters"], layers) + html_text(_total(self))
        if self.problem:
            return table + html_text(self.problem)
        figure = new_figure(6.0, 2.2)
        named = NamedPicture(self.picture.squeeze(-1).numpy(), self.target_name or "", self.predictions)
        draw_picture(figure.add_subplot(1, 2, 1), named)
        draw_predictions(figure.add_subplot(1, 2, 2), named)
        best = ", ".join(f"{prediction.label} {prediction.probability:.2f}" for prediction in self.predictions)
        return table + html_picture(png_of(figure), best) + html_text(self.verdict)

    def __rich__(self) -> RenderableType:
        if not len(self.logits):  # a layer did not fit
            return Group(_layer_table(self), Text(self.problem and "\n" + visible_text(self.problem)))
        verdict = [Text("\n" + visible_text(self.verdict))] if self.verdict else []
        tables = _layer_table(self), Text(_total(self) + "\n"), Text(_softmax(self)), _class_table(self)
        return Group(*tables, *verdict)


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
