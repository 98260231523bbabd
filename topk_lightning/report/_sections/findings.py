"""What is worth a sentence, the most serious first."""

from __future__ import annotations

from topk_lightning.findings import findings
from topk_lightning.report._results import Results
from topk_lightning.report._section import Section

__all__ = ["ORDER", "section"]

ORDER = 10


def section(results: Results) -> Section:
    """Return the findings of the class report, with what is known of training, validation, duplicates and groups."""
    outside = results.evaluation.outside
    shown = findings(
        results.report,
        train_accuracy=results.train_accuracy,
        val_accuracy=results.val_accuracy,
        leaks=results.data.leaks,
        groups=None if results.coarsest is None else results.coarsest[1],
        trained_on=results.trained_on or 0,
        unreadable=list(results.unreadable),
        are_probabilities=outside.are_probabilities,
    )
    values = [
        {"kind": type(finding).__name__, "severity": finding.severity, "sentence": finding.sentence, "numbers": finding}
        for finding in shown
    ]
    return Section(
        "Findings", {"findings": shown, "unknown": results.unknown}, {"findings": values, "unknown": results.unknown}
    )
