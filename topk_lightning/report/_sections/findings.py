"""What is worth a sentence, the most serious first."""

from __future__ import annotations

from topk_lightning.findings import ClassesToMerge, Finding, WrongLabels, findings
from topk_lightning.report._results import Results
from topk_lightning.report._section import Section
from topk_lightning.report._thumbnail import thumbnail

__all__ = ["ORDER", "section"]

ORDER = 10

#: Pictures beside a finding.
_SHOWN = 4


def section(results: Results) -> Section:
    """Return the findings of the class report, with what is known of training, validation, duplicates and groups."""
    outside, suspects = results.evaluation.outside, results.suspects
    shown = findings(
        results.report,
        train_accuracy=results.train_accuracy,
        val_accuracy=results.val_accuracy,
        leaks=results.data.leaks,
        groups=None if results.coarsest is None else results.coarsest[1],
        trained_on=results.trained_on or 0,
        unreadable=list(results.unreadable),
        are_probabilities=outside.are_probabilities,
        suspects=suspects.named(suspects.surest, results.class_names, results.data.test.name),
    )
    values = [
        {"kind": type(finding).__name__, "severity": finding.severity, "sentence": finding.sentence, "numbers": finding}
        for finding in shown
    ]
    data = {"findings": [(finding, _pictures(results, finding)) for finding in shown], "unknown": results.unknown}
    return Section("Findings", data, {"findings": values, "unknown": results.unknown})


def _pictures(results: Results, finding: Finding) -> list[tuple[str, str]]:
    """Return what some findings show: words and a picture each."""
    rows, names = results.evaluation, list(results.class_names)
    if not results.hard_images:
        return []
    if isinstance(finding, WrongLabels):
        meant = {suspect.image for suspect in finding.suspects[:_SHOWN]}
        chosen = [i for i in results.suspects.order if results.data.test.name(int(rows.index[i])) in meant][:_SHOWN]
        words = [f"labelled {names[int(rows.target[index])]}" for index in chosen]
    elif isinstance(finding, ClassesToMerge):
        labels = [names.index(finding.first), names.index(finding.second)]
        chosen = [int((rows.target == label).nonzero()[0]) for label in labels if (rows.target == label).any()]
        words = [names[int(rows.target[index])] for index in chosen]
    else:
        return []
    seen = [results.data.test.shown(int(rows.index[index])) for index in chosen]
    return [(word, thumbnail(picture)) for word, picture in zip(words, seen, strict=True) if picture is not None]
