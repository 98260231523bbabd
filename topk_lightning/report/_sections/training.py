"""The curves of the training."""

from __future__ import annotations

from topk_lightning.epoch_table import training_plots
from topk_lightning.report._results import Results
from topk_lightning.report._section import Section

__all__ = ["ORDER", "section"]

ORDER = 80


def section(results: Results) -> Section | None:
    """Return losses and accuracies by epoch; None without an epoch table."""
    source, rows = results.epochs
    plots = training_plots(rows)
    if not plots:
        return None
    data = {"charts": plots, "note": f"From the table of epochs in {source}."}
    return Section("Training", data, {"source": source, "epochs": list(rows)})
