"""The report of a test as one HTML page, and figures of a training and of predictions."""

from topk_lightning.report.write_report import write_report

__all__ = ["write_report"]
