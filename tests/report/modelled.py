"""Test sets and networks whose reports are known in advance."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

# No slash, since they are also names of folders and files.
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "\"><svg onload='alert(2)'>",
    "' onmouseover='alert(3)",
    "&lt;b&gt; & &amp;",
    "{{ 7 * 7 }}{% raw %}",
)
SCRIPT = "<script>alert(1)</script>"


class Scores(nn.Module):
    """Takes an image (3, 1, C) whose first channel holds the logits."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, 0, 0]


def loader_of(logits: torch.Tensor, target: torch.Tensor) -> DataLoader:
    images = logits[:, None, None, :].expand(-1, 3, 1, -1)
    return DataLoader(TensorDataset(images, target), batch_size=50)


def matrix_loader(matrix: list[list[int]]) -> DataLoader:
    """Images whose confusions are this matrix, rows actual, each named with a probability of nearly 1."""
    pairs = [(a, p) for a, row in enumerate(matrix) for p, count in enumerate(row) for _ in range(count)]
    actual, predicted = torch.tensor(pairs).unbind(1)
    return loader_of(9 * torch.eye(len(matrix))[predicted], actual)


class Page(HTMLParser):
    """What a report says: text, tags with their attributes, and the cells of its table of classes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self._in_classes, self._is_text = False, True
        self.feed(self.source)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        self._is_text = tag not in ("style", "script")
        if tag == "table":
            self._in_classes = found.get("id") == "class-table"
        if self._in_classes and tag == "tr":
            self.rows.append([])
        if self._in_classes and tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data):
        self.text += data if self._is_text else ""
        if self._in_classes and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag):
        self._is_text = True
        if tag == "table":
            self._in_classes = False

    @property
    def classes(self) -> dict[str, list[str]]:
        """The cells of each class by its name, without the headings."""
        rows = [[cell.strip() for cell in row] for row in self.rows[1:]]
        return {row[0]: row[1:] for row in rows}
