"""The report of a test as one HTML page, and one picture of a training."""

from topk_lightning.report.training_summary import training_summary
from topk_lightning.report.write_report import write_report

__all__ = ["training_summary", "write_report"]
