"""What the pages say of the study is what its results say, and the results were made by its rules."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("torchvision")
pytest.importorskip("scipy")
pytest.importorskip("pyarrow")

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "study"))

from grid_a import Budget, choose
from grid_c import QUESTIONS, answers
from pages import fill_in
from quotes import QUOTE, quoted, requote
from records import RESULTS, Results, read_parquet

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture(scope="module")
def results():
    return read_parquet(RESULTS)


def test_tables_and_quoted_numbers_of_all_pages_are_those_of_the_results(results):
    found = 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for number, method, setting, figure in QUOTE.findall(text):
            assert quoted(results, method, setting, figure) == number, (page.name, method, setting, figure)
            found += 1
        assert fill_in(text, results) == text, page
    assert found >= 20


def test_a_number_that_is_not_of_the_results_is_written_anew_and_one_that_was_not_measured_stays():
    rows = [record(method, "tuning", 0, 0.5) for method in ("cross entropy", "temperature CE")]
    for split, gain in enumerate((0.01, 0.02, 0.03)):
        rows += [record("cross entropy", "test", split, 0.5), record("temperature CE", "test", split, 0.5 + gain)]
    # A mean of 2 points; 1 point of deviation over √3, times Student's 4.303 of 2 degrees of freedom.
    where = "<!-- temperature CE; glyphs, clean; top5 -->"
    other = "+9.9 ± 9.9<!-- soft top-5; glyphs, clean; top5 -->"
    assert requote(f"gains +7.0 ± 7.0{where}, {other}", Results(rows)) == f"gains +2.0 ± 2.5{where}, {other}"


def record(method, stage, split, top5):
    return {"grid": "a", "setting": "glyphs, clean", "method": method, "candidate": 0, "stage": stage, "split": split,
            "top5": top5}  # fmt: skip


def test_sixteen_candidates_on_four_splits_and_the_chosen_one_alone_on_twenty_others(results):
    budget = Budget()
    assert (budget.candidates, budget.tuning_splits, budget.test_splits) == (16, 4, 20)
    cells = {(r["setting"], r["method"]) for r in results if (r["grid"], r["stage"]) == ("a", "test")}
    assert cells
    for setting, method in cells:
        tuned = {(r["candidate"], r["split"]) for r in results.cell("a", setting, method, "tuning")}
        assert tuned == {(candidate, split) for candidate in range(16) for split in range(4)}, (setting, method)
        tested = [(r["candidate"], r["split"]) for r in results.cell("a", setting, method, "test")]
        chosen = choose(results, setting, method)
        assert sorted(tested) == [(chosen, split) for split in range(20)], (setting, method)


def test_sure_and_right_scores_need_nobody_and_scores_that_know_little_keep_the_promises():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(10, (4000,), generator=generator)
    split = SimpleNamespace(truth=truth, groups=torch.arange(10) // 5)
    guess = torch.where(torch.rand(4000, generator=generator) < 0.02, (truth + 1) % 10, truth)
    wrong = (guess != truth)[2500:].float().mean().item()  # of the images that test
    found = answers(20 * torch.nn.functional.one_hot(guess, 10).float(), split)
    expected = {"set_size": 1, "set_coverage": 1 - wrong, "named": 1, "person": 0, "named_wrong": wrong}
    assert found == pytest.approx({**expected, "answered": 1, "answered_wrong": wrong}, abs=1e-6)
    assert found.keys() == QUESTIONS.keys()
    little = torch.randn(4000, 10, generator=generator) + 0.3 * torch.nn.functional.one_hot(truth, 10)
    found = answers(little, split)
    assert 8 < found["set_size"] < 9.3  # 90 % of ten is what knowing nothing takes
    assert found["set_coverage"] == pytest.approx(0.9, abs=0.04)
    assert found["named_wrong"] <= 0.06
    assert found["answered_wrong"] <= 0.12
    assert found["person"] >= 0.8
