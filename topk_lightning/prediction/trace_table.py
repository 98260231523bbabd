"""The trace of a prediction as tables for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from topk_lightning.prediction.layers import LayerTrace
    from topk_lightning.prediction.trace import PredictionTrace

__all__ = ["trace_table"]

_BAR = 20


def trace_table(trace: PredictionTrace) -> RenderableType:
    """Return a table of the layers, one of the k best classes, and a sentence about the true class."""
    verdict = [Text("\n" + trace.verdict)] if trace.verdict else []
    return Group(_layers(trace), Text(_total(trace) + "\n"), Text(_softmax(trace)), _classes(trace), *verdict)


def _layers(trace: PredictionTrace) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("layer", overflow="fold")
    table.add_column("kind", overflow="fold")
    table.add_column("output", justify="right", overflow="fold")
    table.add_column("parameters", justify="right")
    height, width, channels = trace.picture.shape
    table.add_row("image", "", _shape((1, channels, height, width)), "")
    for layer in trace.layers:
        outputs = ", ".join(_shape(shape) for shape in layer.shapes) or "–"
        table.add_row(Text(_name(layer)), Text(layer.kind), outputs, f"{layer.parameters:,}")
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


def _classes(trace: PredictionTrace) -> Table:
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
        name, bar = Text(label + mark, style=style), Text("█" * round(_BAR * probability), style="blue")
        table.add_row(str(rank), name, f"{trace.logits[index].item():.2f}", f"{probability:.3f}", bar)
    return table
