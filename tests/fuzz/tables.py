"""Tables: what we write is read back, and what others wrote is read or refused in one line."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import given

from tests.fuzz.files import CHANGES, be_one_short_line, damaged
from topk_lightning._checks import UserError
from topk_lightning._files import csv_text
from topk_lightning.data import ImageFolderDataModule
from topk_lightning.epoch_table import read_table
from topk_lightning.hierarchy import Hierarchy

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
TABLES = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=6))
HEADERS = st.sampled_from([["path", "label"], ["label", "path", "split"], ["fine", "coarse"], ["epoch", "note"], []])


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@given(TABLES)
def every_table_is_read_back_as_it_was(table):
    assert cells(csv_text(table)) == table


@given(TABLES)
def every_cell_for_a_spreadsheet_is_text(table):
    safe = cells(csv_text(table, spreadsheet_safe=True))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in safe for cell in row)
    assert [[cell.removeprefix("'") for cell in row] for row in safe] == [
        [cell.removeprefix("'") for cell in row] for row in table
    ]


@given(HEADERS, TABLES, CHANGES, st.sampled_from([1.0, 1.0, 0.7]))
def every_file_of_a_table_is_read_or_refused_in_one_line(header, table, changes, end):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        path.write_bytes(damaged(csv_text([header, *table]).encode(), changes, end))
        for read in (Hierarchy.of, read_table, lambda path: ImageFolderDataModule(path).class_names):
            try:
                read(path)
            except UserError as error:
                be_one_short_line(error)
