"""What a report is written to: the page, the same as JSON, and the table of classes as CSV."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

import topk_lightning.report._sections as report_sections
from topk_lightning._files import csv_text, utf8, write_file
from topk_lightning.findings import grade
from topk_lightning.report._page import render
from topk_lightning.report._results import Results
from topk_lightning.report._section import sections_in
from topk_lightning.report._summary import summary
from topk_lightning.report._suspects import suspect_rows

__all__ = ["SCHEMA_VERSION", "class_table_path", "plain", "suspects_path", "write_files"]

#: Of the JSON file: raised where a key goes or changes its meaning, not where one is added.
SCHEMA_VERSION = 1


def write_files(results: Results, title: str, path: Path, *, spreadsheet_safe: bool = False) -> None:
    """Write the page, and beside it the JSON file and the tables of classes and of suspect labels.

    Args:
        results: of a test.
        title: the heading.
        path: the page.
        spreadsheet_safe: of the tables, as in :func:`topk_lightning._files.csv_text`.
    """
    head, sections = summary(results), sections_in(report_sections, results)
    outside = results.evaluation.outside
    content = {
        "schema_version": SCHEMA_VERSION,
        "title": title,
        "sentence": head["sentence"],
        "grade": grade(results.report),
        "k": results.k,
        "possible_classes": results.possible,
        "images": {
            "tested": results.images,
            "right": int((results.evaluation.rank == 0).sum()),
            "unreadable": [{"name": name, "reason": reason} for name, reason in results.unreadable.items()],
            "without_label": outside.without_label,
            "several_labels": outside.several_labels,
            "impossible": outside.impossible,
            "trained_on": results.trained_on,
        },
        "sections": {address: {"title": section.title, **section.values} for address, section in sections.items()},
    }
    text = json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False)
    rows = _class_rows(content["sections"]["classes"]["classes"], results.k)
    write_file(class_table_path(path), utf8(csv_text(rows, spreadsheet_safe=spreadsheet_safe)))
    if results.suspects.order:
        suspects = suspect_rows(results.suspects, results.class_names, results.data.test.name)
        write_file(suspects_path(path), utf8(csv_text(suspects, spreadsheet_safe=spreadsheet_safe)))
    else:
        suspects_path(path).unlink(missing_ok=True)  # of a report that was here before
    write_file(path.with_suffix(".json"), utf8(text))
    write_file(path, utf8(render(title, head, sections)))


def class_table_path(path: Path) -> Path:
    """Return the table of classes beside a page: classes.csv beside report.html, photos_classes.csv beside photos.html."""
    return path.with_name("classes.csv" if path.stem == "report" else f"{path.stem}_classes.csv")


def suspects_path(path: Path) -> Path:
    """Return the table of suspect labels beside a page: suspects.csv, photos_suspects.csv beside photos.html."""
    return path.with_name("suspects.csv" if path.stem == "report" else f"{path.stem}_suspects.csv")


def _class_rows(rows: Sequence[Any], k: int) -> Iterator[Sequence[Any]]:
    """Yield the header and the rows; what is not defined is an empty cell."""
    names = {"name": "class", "recall_topk": f"recall_top{k}", "taken_for": "most_often_taken_for", "taken": "times"}
    yield [names.get(f.name, f.name) for f in fields(rows[0])]
    yield from (["" if cell is None else cell for cell in row.values()] for row in map(plain, rows))


def plain(value: Any) -> Any:
    """Return what JSON has a form for; what is not finite becomes null, a fraction has 7 digits."""
    if isinstance(value, Tensor):
        return plain(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value) if f.metadata.get("json", True)}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
