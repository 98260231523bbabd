"""What a reader meets first uses nothing that our own measurements show below the baseline, and each number has a home."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from topk_lightning import TemperatureCrossEntropyLoss, losses
from topk_lightning.callbacks import CoarseToFine, KAnnealing, TemperatureAnnealing

ROOT = Path(__file__).parents[1]
CURRICULA = (CoarseToFine, KAnnealing, TemperatureAnnealing)
CHOOSING = (ROOT / "docs" / "choosing.md").read_text()
SMOOTHED = TemperatureCrossEntropyLoss(label_smoothing=0.1)
LOGITS, TARGET = torch.randn(8, 12, generator=torch.Generator().manual_seed(0)), torch.arange(8)


def program(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_loss_of_the_first_pages_is_measured_and_not_below_cross_entropy():
    assert SMOOTHED(LOGITS, TARGET).item() == pytest.approx(
        nn.CrossEntropyLoss(label_smoothing=0.1)(LOGITS, TARGET).item()
    )
    table = (
        (ROOT / "docs" / "study.md").read_text().split("<!-- study: summary -->")[1].split("<!-- end of study -->")[0]
    )
    headings, _, *rows = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    cells = {row[1]: row[headings.index("label smoothing")] for row in rows}
    assert any(cells.values())
    below = [setting for setting, cell in cells.items() if "↓" in cell]  # below cross entropy for certain
    assert all("noise" in setting and setting.endswith("decay off") for setting in below)
    # Where it is, the page that recommends it says so.
    begin = next(line for line in CHOOSING.splitlines() if line.startswith("| nothing special |"))
    assert not below or "; glyphs, noise .2 in groups, decay off; top5" in begin


def test_the_readme_drops_in_that_loss_and_no_curriculum():
    text = (ROOT / "README.md").read_text()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, flags=re.M | re.S))
    assert "TemperatureCrossEntropyLoss(label_smoothing=0.1)" in code
    others = [name for name in losses.__all__ if name.endswith("Loss") and name != "TemperatureCrossEntropyLoss"]
    assert not [name for name in (*others, *(kind.__name__ for kind in CURRICULA)) if name in code]


def test_the_example_of_callbacks_trains_with_that_loss_and_curricula_only_when_asked():
    example = program(ROOT / "examples" / "drop_in_callbacks.py")
    assert repr(example.YourModule(3).loss) == repr(SMOOTHED)
    assert not [callback for callback in example.callbacks("out.csv") if isinstance(callback, CURRICULA)]
    asked = example.callbacks("out.csv", curricula=True)
    assert {type(callback) for callback in asked if isinstance(callback, CURRICULA)} == set(CURRICULA)


def test_the_configuration_of_the_examples_names_that_loss():
    config = yaml.safe_load((ROOT / "examples" / "configs" / "emoji.yaml").read_text())
    loss = config["model"]["init_args"]["loss"]
    assert loss == {
        "class_path": "topk_lightning.losses.TemperatureCrossEntropyLoss",
        "init_args": {"label_smoothing": 0.1},
    }
    assert (ROOT / "examples" / "configs" / "emoji.yaml").read_text() in (ROOT / "docs" / "command_line.md").read_text()
    named = [callback["class_path"] for callback in config["trainer"]["callbacks"]]
    assert not [path for path in named if path.rpartition(".")[2] in {kind.__name__ for kind in CURRICULA}]


def test_the_table_of_pull_and_reach_is_what_its_program_prints():
    module = program(ROOT / "docs" / "programs" / "pull_and_reach.py")
    text = CHOOSING.split(module.BEGIN)[1].split(module.END)[0].strip()
    expected = module.table()
    assert [line.split("|")[1] for line in text.splitlines()] == [line.split("|")[1] for line in expected.splitlines()]
    for row, wanted in zip(text.splitlines()[2:], expected.splitlines()[2:], strict=True):
        found = [float(cell) for cell in row.split("|")[2:-1]]
        assert found == pytest.approx([float(cell) for cell in wanted.split("|")[2:-1]], abs=0.11), row


def test_each_number_of_what_one_wins_stands_on_the_page_it_links_to():
    text = (ROOT / "README.md").read_text()
    rows = [row for row in text.split("## What you win")[1].split("\n\n")[1].splitlines() if "](docs/" in row]
    assert len(rows) >= 7
    demo = text.split("## What the demo does")[1]
    for row in rows:
        page = demo + "".join((ROOT / link).read_text() for link in re.findall(r"\((docs/[^)#]+)", row))
        for number in re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?", row.split("|")[2]):
            assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d])", page), (number, row)


def test_the_fastai_page_begins_with_that_loss_too():
    first = re.search(r"^```python\n(.*?)^```$", (ROOT / "docs" / "fastai.md").read_text(), flags=re.M | re.S)[1]
    assert "TemperatureCrossEntropyLoss(label_smoothing=0.1)" in first
    assert "Annealing" not in first


def test_the_page_about_installing_names_every_extra():
    tomllib = pytest.importorskip("tomllib", reason="tomllib is part of Python from 3.11 on")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "install.md").read_text(), flags=re.M)
    assert sorted(named) == sorted(extras)
