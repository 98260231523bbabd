"""All that a report is written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from topk_lightning.hierarchy import Hierarchy
from topk_lightning.metrics import ClassReport, ReliabilityCurve
from topk_lightning.report.evaluation import Evaluation
from topk_lightning.report.report_data import ReportData
from topk_lightning.report.subject import Subject

__all__ = ["Measured"]


@dataclass(frozen=True)
class Measured:
    """All that was measured; `trace` is where the table of epochs comes from, and the table."""

    subject: Subject
    source: ReportData
    names: Sequence[str]
    k: int
    report: ClassReport
    evaluation: Evaluation
    calibration: ReliabilityCurve
    scaled: ReliabilityCurve | None
    temperature: float | None
    train_accuracy: float | None
    val_accuracy: float | None
    levels: Mapping[str, Hierarchy]
    trace: tuple[str, Sequence[Mapping[str, Any]]]
