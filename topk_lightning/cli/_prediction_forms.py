"""Predictions as a table for people, and as json, csv, jsonl or parquet for programs."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from topk_lightning.drawing import visible_text

if TYPE_CHECKING:
    from topk_lightning.prediction import Answer

__all__ = ["WRITERS", "prediction_table"]

Named = Sequence[tuple[str, "Answer"]]

_RANKS = ("image", "rank", "class", "index", "probability")
_LEVELS = ("image", "level", "name", "probability", "said")
#: What becomes of a picture, for people.
PILE_WORDS = {"accept": "accepted", "list": "pick from the list", "person": "an expert must look"}


def prediction_table(named: Named, bars: bool = True) -> Table:
    """Return a table with the best classes of each image, best first; or the best name of each level, from fine to coarse.

    Args:
        named: each image with what is said of it.
        bars: add a bar for each probability.
    """
    has_piles, has_levels = _has(named, "pile"), _has(named, "sure")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("image", overflow="fold")
    table.add_column("level" if has_levels else "rank", justify="left" if has_levels else "right")
    table.add_column("name" if has_levels else "class", overflow="fold", style="cyan")
    table.add_column("probability", justify="right")
    if bars:
        table.add_column("", no_wrap=True)
    if has_piles:
        table.add_column("review")
    for image, answer in named:
        for number, (place, label, probability, is_said) in enumerate(_lines(answer)):
            style = "bold" if is_said and has_levels else ""
            share = "" if probability is None else f"{probability:.3f}"
            cells = [
                Text(visible_text(image) if number == 0 else ""),
                Text(place, style),
                Text(visible_text(label), style),
            ]
            bar = [Text("█" * round(20 * (probability or 0)), style="blue")] if bars else []
            pile = [Text(PILE_WORDS[str(answer.pile)] if number == 0 else "")] if has_piles else []
            table.add_row(*cells, Text(share), *bar, *pile)
        if answer.group is not None:
            level, group = answer.group
            table.add_row("", "", Text(f"that is: {visible_text(group)} ({visible_text(level)})", "bold"))
        if answer.sure is not None and answer.sure.level is None:
            table.add_row("", "", Text("not sure at any level", "italic"))
    return table


def _lines(answer: Answer) -> Iterator[tuple[str, str, float | None, bool]]:
    """Yield level or rank, name, probability and whether it is said."""
    if answer.sure is not None:
        for level, name, probability in answer.sure.by_level:
            yield level, name, probability, level == answer.sure.level
        return
    for rank, each in enumerate(answer.predictions, 1):
        yield str(rank), each.label, each.probability, rank == 1
    if not answer.predictions:
        yield "0", "", None, False


def _has(named: Named, part: str) -> bool:
    return any(getattr(answer, part) is not None for _, answer in named)


def _utf8(text: str) -> bytes:
    from topk_lightning._files import utf8  # only now: it imports torch

    return utf8(text)


def _as_json(named: Named, spreadsheet_safe: bool = False, has_groups: bool = False) -> bytes:
    rows = [{"image": image, **answer.plain()} for image, answer in named]
    return _utf8(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")


def _table(named: Named, has_groups: bool) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return columns and rows: one for each prediction, or for each level; of an empty set one of rank 0."""
    has_levels, has_piles = _has(named, "sure"), _has(named, "pile")
    rows: list[tuple[Any, ...]] = []
    for image, answer in named:
        group = "" if answer.group is None else answer.group[1]
        more = (*((answer.pile,) if has_piles else ()), *((group,) if has_groups else ()))
        if answer.sure is not None:
            sure = answer.sure
            rows += [(image, *each, int(each[0] == sure.level), *more) for each in sure.by_level]
            continue
        best: list[tuple[Any, ...]] = [
            (rank, p.label, p.index, p.probability) for rank, p in enumerate(answer.predictions, 1)
        ]
        rows += [(image, *cells, *more) for cells in best or [(0, "", None, None)]]
    columns = [
        *(_LEVELS if has_levels else _RANKS),
        *(["pile"] if has_piles else []),
        *(["group"] if has_groups else []),
    ]
    return columns, rows


def _as_csv(named: Named, spreadsheet_safe: bool = False, has_groups: bool = False) -> bytes:
    from topk_lightning._files import csv_text

    columns, rows = _table(named, has_groups)
    return _utf8(csv_text([columns, *rows], spreadsheet_safe=spreadsheet_safe))


def _as_jsonl(named: Named, spreadsheet_safe: bool = False, has_groups: bool = False) -> bytes:
    columns, rows = _table(named, has_groups)
    lines = (json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) for row in rows)
    return _utf8("".join(f"{line}\n" for line in lines))


def _as_parquet(named: Named, spreadsheet_safe: bool = False, has_groups: bool = False) -> bytes:
    pyarrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    columns, rows = _table(named, has_groups)
    buffer = io.BytesIO()
    cells = ([_utf8(cell).decode() if isinstance(cell, str) else cell for cell in row] for row in rows)
    parquet.write_table(pyarrow.table(dict(zip(columns, map(list, zip(*cells, strict=True)), strict=True))), buffer)
    return buffer.getvalue()


#: The formats for programs; standard output holds nothing else.
WRITERS = {"json": _as_json, "csv": _as_csv, "jsonl": _as_jsonl, "parquet": _as_parquet}
