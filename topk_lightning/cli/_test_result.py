"""The result of a test: top-k accuracies with their intervals, beside chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytorch_lightning import Callback
from rich.table import Table

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["TestResult", "TopKResult", "result_table"]

LEVEL = 0.95


@dataclass(frozen=True)
class TopKResult:
    """A top-k accuracy of a test, its interval, and what guessing would reach; all fractions."""

    k: int
    accuracy: float
    low: float
    high: float
    chance: float


class TestResult(Callback):
    """Keep the accuracies of a test with their confidence intervals, before Lightning resets the metrics."""

    __test__ = False  # not a test case, whatever its name looks like

    def __init__(self) -> None:
        super().__init__()
        self.loss: float | None = None
        self.topk: list[TopKResult] = []

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the metrics; every process takes part, since the intervals join what all have counted."""
        meters: Any = getattr(pl_module, "test_meters", None)
        num_classes = getattr(pl_module, "num_classes", None)
        self.topk = []
        for metric in meters[0].accuracies.values() if meters is not None else ():
            if hasattr(metric, "confidence_interval") and num_classes:
                low, high = metric.confidence_interval(LEVEL).tolist()
                accuracy = float(metric.compute())
                self.topk.append(TopKResult(metric.k, accuracy, low, high, metric.k / num_classes))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the loss."""
        loss = trainer.callback_metrics.get("test/loss")
        self.loss = None if loss is None else float(loss)


def result_table(result: TestResult) -> Table:
    """Return the accuracies as a table: each with its interval and the chance level k/C, as fractions."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("test", "accuracy", f"{LEVEL:.0%} interval", "chance"):
        table.add_column(heading, justify="right")
    for row in result.topk:
        interval = f"{row.low:.3f} to {row.high:.3f}"
        table.add_row(f"top-{row.k}", f"{row.accuracy:.3f}", interval, f"{row.chance:.3f}")
    if result.loss is not None:
        table.add_row("loss", f"{result.loss:.3f}", "", "")
    return table
