"""Checks of the report: its data, its file, and what stands beside the checkpoint."""

from __future__ import annotations

from pathlib import Path

from topk_lightning._checks import InvalidValueError, must

__all__ = [
    "check_report_path",
    "no_data_known",
    "no_data_section",
]


def check_report_path(path: str | Path) -> Path:
    """Return the path of the report, an .html file."""
    where = Path(path)
    if where.suffix.lower() not in (".html", ".htm") or where.is_dir():
        raise InvalidValueError(must("out", "be the name of an .html file", repr(str(path))))
    return where


def no_data_known(checkpoint: str) -> ValueError:
    """Return the error for a checkpoint beside which nothing says what it was trained on."""
    return InvalidValueError(
        must(
            "--data",
            f"be given for {checkpoint}, which has no config.yaml beside it",
            None,
            "Pass a folder of test images (one folder a class), the config.yaml of the training, or emoji.",
        )
    )


def no_data_section(path: str) -> ValueError:
    """Return the error for a yaml file that names no data module."""
    return InvalidValueError(must("--data", "be a yaml file with data.class_path, as fit saves it", repr(path)))
