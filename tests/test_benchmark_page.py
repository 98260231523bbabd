"""The page of benchmarks is what its file of results says, and each measurement of it runs alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.benchmarks import page

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "tests" / "benchmarks"


def test_the_page_is_built_from_the_results_alone():
    assert (ROOT / "docs" / "benchmarks.md").read_text() == page.text()


def test_each_section_has_its_measurement_which_make_bench_runs():
    names = re.search(r"for name in ([\w ]+); do \\", (ROOT / "Makefile").read_text())[1].split()
    assert names == list(page.SECTIONS)
    assert all((BENCHMARKS / f"bench_{name}.py").is_file() for name in names)


def test_a_cell_shows_the_median_and_its_quartiles():
    assert str(page.Ratio.of([1.0, 2.0, 3.0, 4.0, 50.0])) == "3 (2–4)"
    assert str(page.Ratio.of([123.4])) == "123 (123–123)"


def test_a_measurement_runs_alone_and_quickly_and_writes_nothing():
    before = page.RESULTS.read_text()
    words = [sys.executable, "-W", "ignore", str(BENCHMARKS / "bench_start.py"), "--quick"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
    assert re.search(r"^\|---\|---:", done.stdout, flags=re.MULTILINE)
    assert page.RESULTS.read_text() == before
