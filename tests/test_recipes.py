"""The recipes of docs/contributing.md: everything is registered, and a toy of each kind takes no more files than they say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.registration import missing_places

ROOT = Path(__file__).parents[1]


def test_everything_is_registered_in_every_place():
    missing = missing_places(ROOT)
    assert not missing, "\n".join(missing)


@dataclass(frozen=True)
class Toy:
    """A toy of a kind: the text of its own file, and what is put at the end of others."""

    path: str
    text: str
    added: dict[str, str]
    at_most: int
    tried: str = ""

    @property
    def files(self) -> list[str]:
        """What is touched."""
        return [self.path, *self.added]


LOSS = """\"\"\"A toy.\"\"\"

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from topk_lightning.losses._base import ClassificationLoss, loss_function
from topk_lightning.losses._stable import log_share

__all__ = ["ToyLoss", "toy_loss"]


class ToyLoss(ClassificationLoss):
    \"\"\"Cross entropy: log Σ_j exp(s_j) − s_y.\"\"\"

    def __init__(
        self,
        *,
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_dim: int = 1,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, class_dim=class_dim)

    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        \"\"\"Return the loss of each row.\"\"\"
        return 0 - log_share(logits, target.unsqueeze(1)).squeeze(1).to(logits.dtype)


toy_loss = loss_function(ToyLoss)
"""
CASE = """\"\"\"The record of a toy.\"\"\"

from tests import oracles
from tests.losses.cases import LossCase
from topk_lightning.losses import ToyLoss, toy_loss

CASES = [LossCase("toy", ToyLoss, toy_loss, lambda scores, y: oracles.temperature_cross_entropy(scores, y, temperature=1.0))]
"""
METRIC = """\"\"\"A toy.\"\"\"

from __future__ import annotations

from topk_lightning.metrics.topk_accuracy import ExactMetric

__all__ = ["ToyCount"]


class ToyCount(ExactMetric):
    \"\"\"Count.\"\"\"
"""
CALLBACK = """\"\"\"A toy.\"\"\"

from __future__ import annotations

from topk_lightning.callbacks._base import Callback

__all__ = ["ToyCallback"]


class ToyCallback(Callback):
    \"\"\"Do nothing.\"\"\"
"""
DATA = """\"\"\"A toy.\"\"\"

from __future__ import annotations

from topk_lightning.data._twins import lightning_data_module
from topk_lightning.data.image_folder import ImageFolderDataModule

__all__ = ["ToyDataModule"]

Folders = ImageFolderDataModule.definition  # type: ignore[attr-defined]


@lightning_data_module
class ToyDataModule(Folders):
    \"\"\"Folders under another name.\"\"\"
"""
FINDING = """\"\"\"A toy.\"\"\"

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from topk_lightning.findings._evidence import Evidence
from topk_lightning.findings._finding import Finding

__all__ = ["ToyFinding"]


@dataclass(frozen=True)
class ToyFinding(Finding):
    \"\"\"Nothing.\"\"\"

    severity = "good to know"
    sentence = "A toy was found."

    @classmethod
    def find(cls, evidence: Evidence) -> Iterator[Finding]:
        \"\"\"Yield it always.\"\"\"
        yield cls()
"""
SECTION = """\"\"\"A toy.\"\"\"

from __future__ import annotations

from topk_lightning.report._results import Results
from topk_lightning.report._section import Section

ORDER = 99


def section(results: Results) -> Section:
    \"\"\"Return a section.\"\"\"
    return Section("Toy", {})
"""

TOYS = {
    "loss": Toy(
        "topk_lightning/losses/toy.py",
        LOSS,
        {
            "topk_lightning/losses/__init__.py": "from topk_lightning.losses.toy import ToyLoss, toy_loss\n__all__ += ['ToyLoss', 'toy_loss']\n",
            "topk_lightning/functional.py": "from topk_lightning.losses.toy import toy_loss\n__all__ += ['toy_loss']\n",
            "topk_lightning/__init__.pyi": "from .losses import ToyLoss as ToyLoss\n",
            "tests/losses/cases_toy.py": CASE,
            "docs/losses/toy.md": "# Toy\n\n::: topk_lightning.losses.ToyLoss\n",
            "docs/choosing.md": "ToyLoss\n",
            "CHANGELOG.md": "- `ToyLoss`\n",
        },
        8,
        "tests/losses/test_contract.py",
    ),
    "metric": Toy(
        "topk_lightning/metrics/toy.py",
        METRIC,
        {
            "topk_lightning/metrics/__init__.py": "from topk_lightning.metrics.toy import ToyCount\n__all__ += ['ToyCount']\n",
            "topk_lightning/__init__.pyi": "from .metrics import ToyCount as ToyCount\n",
            "tests/metrics/test_contract.py": "# ToyCount\n",
            "docs/toy.md": "`ToyCount`\n",
            "CHANGELOG.md": "- `ToyCount`\n",
        },
        6,
    ),
    "callback": Toy(
        "topk_lightning/callbacks/toy.py",
        CALLBACK,
        {
            "topk_lightning/callbacks/__init__.py": "from topk_lightning.callbacks.toy import ToyCallback\n__all__ += ['ToyCallback']\n",
            "topk_lightning/__init__.pyi": "from .callbacks import ToyCallback as ToyCallback\n",
            "docs/callbacks/toy.md": "# Toy\n",
            "docs/callbacks/index.md": "[ToyCallback](toy.md)\n",
            "CHANGELOG.md": "- `ToyCallback`\n",
        },
        6,
        "tests/callbacks/test_contract.py",
    ),
    "data set": Toy(
        "topk_lightning/data/toy.py",
        DATA,
        {
            "topk_lightning/data/__init__.pyi": "from .toy import ToyDataModule as ToyDataModule\n",
            "docs/data.md": "## ToyDataModule\n",
            "tests/data/test_toy.py": "",
        },
        4,
        "tests/data/test_contract.py",
    ),
    "finding": Toy(
        "topk_lightning/findings/toy.py",
        FINDING,
        {
            "topk_lightning/findings/__init__.py": "from topk_lightning.findings.toy import ToyFinding\n__all__ += ['ToyFinding']\n"
        },
        2,
    ),
    "section": Toy(
        "topk_lightning/report/_sections/toy.py",
        SECTION,
        {"topk_lightning/report/templates/sections/toy.html": "<p>Toy.</p>\n"},
        2,
    ),
}


@pytest.fixture
def copy(tmp_path):
    """A scratch copy of the repository."""
    for name in ("topk_lightning", "tests", "docs", "CHANGELOG.md", "pyproject.toml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("kind", TOYS)
def test_a_toy_is_missing_in_each_place_until_it_stands_in_few_files(kind, copy):
    toy = TOYS[kind]
    print(f"{kind}: {len(toy.files)} files: {', '.join(toy.files)}")  # noqa: T201
    assert len(toy.files) <= toy.at_most
    (copy / toy.path).write_text(toy.text)
    asked = set(missing_places(copy))
    for file, text in toy.added.items():
        before = set(missing_places(copy))
        path = copy / file
        path.write_text((path.read_text() if path.exists() else "") + text)
        assert set(missing_places(copy)) <= before, file
    assert asked
    assert not missing_places(copy)
    if toy.tried:  # the contract of its kind finds it there
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", toy.tried, "-k", "toy"]
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        run = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout[-3000:]
