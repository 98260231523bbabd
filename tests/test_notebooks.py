"""The notebooks of the docs run from top to bottom, and what they keep below a cell is what it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))
# Of the kernel: its sockets, and how it is asked.
pytestmark = pytest.mark.filterwarnings("ignore")


def printed(cell):
    """What a cell printed, numbers left out: another processor rounds differently, and training carries it on."""
    text = "".join("".join(o["text"]) for o in cell.get("outputs", []) if o.get("name") == "stdout")
    return re.sub(r"[\d.,+−-]+(e-?\d+)?", "#", re.sub(r"\x1b\[[0-9;]*m", "", text)).split()


def test_there_are_two():
    assert [path.stem for path in NOTEBOOKS] == ["decisions", "first_steps"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_prints_what_it_keeps(path, tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    kept = nbformat.read(path, as_version=4)
    ran = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(ran, timeout=500, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert any(printed(cell) for cell in kept.cells)
    for before, after in zip(kept.cells, ran.cells, strict=True):
        kinds = [sorted(o["data"]) for o in before.get("outputs", []) if "data" in o]
        assert kinds == [sorted(o["data"]) for o in after.get("outputs", []) if "data" in o]
        if path.stem == "decisions":  # nothing is trained there
            assert printed(before) == printed(after), before["source"]
        else:
            assert bool(printed(before)) == bool(printed(after)), before["source"]
