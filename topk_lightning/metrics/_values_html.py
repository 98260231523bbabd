"""The values of a metric as a table in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from topk_lightning._repr import html_table, html_text

__all__ = ["values_html"]


def values_html(said: str, metric: Any) -> str:
    """Return what a metric is and, where it has counted, its values: numbers, then those a class.

    Args:
        said: what it is.
        metric: one of torchmetrics, or a collection, whose value is a number, numbers a class, or a dict of these.
    """
    if not metric.update_called:
        return html_text(said + ", nothing counted")
    values = metric.compute()
    named = dict(values) if isinstance(values, Mapping) else {"value": values}
    tensors = {name: value for name, value in named.items() if isinstance(value, Tensor)}
    numbers = [[name, value.item()] for name, value in tensors.items() if value.ndim == 0]
    by_class = {name: value.tolist() for name, value in tensors.items() if value.ndim == 1}
    tables = html_table(["", "value"], numbers) if numbers else ""
    if by_class:
        count = max(map(len, by_class.values()))
        names = getattr(metric, "class_names", None) or range(count)
        rows = [[str(names[index]), *(value[index] for value in by_class.values())] for index in range(count)]
        tables += html_table(["class", *by_class], rows)
    return html_text(said) + tables
