"""What other libraries answer where top-k accuracy is easily wrong: the table of docs/comparison.md.

Run with ``python docs/programs/compare_libraries.py``; it asks each library that is installed and writes the table into the page.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

PAGE = Path(__file__).parents[1] / "comparison.md"
BEGIN, END = "<!-- answers -->", "<!-- end of answers -->"
CLASSES = 10
FLOAT32_STOPS = 2**24


def _ours(k: int) -> Any:
    from topk_lightning import TopKAccuracy

    return TopKAccuracy(k=k)


def _torchmetrics(k: int) -> Any:
    from torchmetrics.classification import MulticlassAccuracy

    return MulticlassAccuracy(num_classes=CLASSES, top_k=k, average="micro")


def _torcheval(k: int) -> Any:
    from torcheval.metrics import MulticlassAccuracy

    return MulticlassAccuracy(k=k, num_classes=CLASSES)


class _Ignite:
    """Ignite's metric takes scores and targets as one tuple."""

    def __init__(self, k: int) -> None:
        from ignite.metrics import TopKCategoricalAccuracy

        self.metric = TopKCategoricalAccuracy(k=k)

    def update(self, scores: Tensor, target: Tensor) -> None:
        self.metric.update((scores, target))

    def compute(self) -> float:
        return float(self.metric.compute())


class _Function:
    """timm's and fastai's are functions of a batch."""

    def __init__(self, function: Callable[[Tensor, Tensor], Any]) -> None:
        self.function = function

    def update(self, scores: Tensor, target: Tensor) -> None:
        self.value = self.function(scores, target)

    def compute(self) -> float:
        return float(self.value)


def _timm(k: int) -> Any:
    from timm.utils import accuracy

    return _Function(lambda scores, target: accuracy(scores, target, topk=(k,))[0] / 100)


def _fastai(k: int) -> Any:
    from fastai.metrics import top_k_accuracy

    return _Function(lambda scores, target: top_k_accuracy(scores, target, k))


LIBRARIES: dict[str, tuple[str, Callable[[int], Any]]] = {
    "topk-lightning": ("topk_lightning", _ours),
    "torchmetrics": ("torchmetrics", _torchmetrics),
    "torcheval": ("torcheval", _torcheval),
    "pytorch-ignite": ("ignite", _Ignite),
    "timm": ("timm", _timm),
    "fastai": ("fastai", _fastai),
}
"""Name of the distribution → its import name, and how its metric of one k is made."""


def _answer(make: Callable[[int], Any], scores: Tensor, target: Tensor, k: int) -> str:
    try:
        metric = make(k)
        metric.update(scores, target)
        return f"{float(metric.compute()):.3g}"
    except Exception:  # whatever a library raises is its refusal
        return "error"


def _not_argmax(make: Callable[[int], Any]) -> str:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(3, (200, CLASSES), generator=generator).float()
    target = torch.randint(CLASSES, (200,), generator=generator)
    rows = zip(scores.split(1), target.split(1), strict=True)
    return str(sum((_answer(make, row, label, 1) == "1") != bool(row.argmax() == label) for row, label in rows))


def _after_2_to_the_24(make: Callable[[int], Any]) -> str:
    """Ten hits, one a batch, on a count that stands at 2²⁴."""
    metric = make(1)
    metric.update(torch.eye(CLASSES)[:1], torch.tensor([0]))
    if isinstance(metric, _Function):
        return "–"
    counts = vars(metric.metric if isinstance(metric, _Ignite) else metric)
    hits = next(name for name in counts if name.startswith("whole_") or name in ("tp", "num_correct", "_num_correct"))
    counts[hits] = counts[hits] + FLOAT32_STOPS
    before = counts[hits].clone()
    for _ in range(10):
        metric.update(torch.eye(CLASSES)[:1], torch.tensor([0]))
    return f"{float((counts[hits] - before).max()):g}"


EYE, LABELS = torch.eye(CLASSES), torch.arange(CLASSES)
SAME, NAN = torch.zeros(CLASSES, CLASSES), torch.full((CLASSES, CLASSES), float("nan"))
QUESTIONS: dict[str, Callable[[Callable[[int], Any]], str]] = {
    "all scores equal, each label once: top-5": lambda make: _answer(make, SAME, LABELS, 5),
    "200 rows with ties: in how many top-1 is not `argmax`": _not_argmax,
    "all scores NaN: top-5": lambda make: _answer(make, NAN, LABELS, 5),
    "one of ten labels is −100, no option set": lambda make: _answer(make, EYE, LABELS.where(LABELS != 3, -100), 1),
    "labels 1 to 10 instead of 0 to 9": lambda make: _answer(make, EYE, LABELS + 1, 1),
    "k = 11 of 10 classes": lambda make: _answer(make, EYE, LABELS, 11),
    "a batch without rows": lambda make: _answer(make, EYE[:0], LABELS[:0], 1),
    "0.55 on the true class of a mixed target": lambda make: _answer(make, EYE, EYE / 2 + 0.05, 1),
    "scores (N, C, T), targets (N, T), all right": lambda make: _answer(
        make, EYE.unsqueeze(2).expand(-1, -1, 4), LABELS.unsqueeze(1).expand(-1, 4), 1
    ),
    "ten hits more after 2²⁴, one a batch": _after_2_to_the_24,
}


def installed() -> dict[str, str]:
    """Return the libraries that are here with their versions."""
    return {
        name: importlib.metadata.version(name)
        for name, (module, _) in LIBRARIES.items()
        if importlib.util.find_spec(module) is not None
    }


def answers(library: str) -> list[str]:
    """Return what one library says to each question."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [ask(LIBRARIES[library][1]) for ask in QUESTIONS.values()]


def table() -> str:
    """Return the Markdown table, a column for each library."""
    versions = installed()
    columns = [list(QUESTIONS), *(answers(name) for name in versions)]
    headings = ["", *(name if name == "topk-lightning" else f"{name} {version}" for name, version in versions.items())]
    rows = [headings, ["---", *["---:"] * len(versions)], *zip(*columns, strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Write the table into the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
