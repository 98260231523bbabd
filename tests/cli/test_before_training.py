"""What fit does first where it is asked to: a learning rate is found, a batch is shown."""

from __future__ import annotations

import csv
import shlex

import pytest
import torch
from PIL import Image

from topk_lightning.cli import main
from topk_lightning.cli._before_training import batch_figure
from topk_lightning.prediction import TrainedModel

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SMALL = shlex.split("emoji --data.classes 6 --image-size 16 --device cpu --report false")


def test_a_batch_is_shown_and_nothing_else_is_done(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *SMALL, "--show-batch", "--mixup", "0.2"]) == 0
    assert capsys.readouterr().out.split() == ["batch:", "runs/emoji/batch.png"]
    assert [path.name for path in (tmp_path / "runs" / "emoji").iterdir()] == ["batch.png"]
    with Image.open(tmp_path / "runs" / "emoji" / "batch.png") as picture:
        assert picture.width > 1000
    assert main(["fit", *SMALL, "--epochs", "1"]) == 0  # the picture is no run: its folder is still free
    assert (tmp_path / "runs" / "emoji" / "best.ckpt").is_file()


def test_each_picture_is_labelled_with_its_class_or_its_shares():
    model = TrainedModel(torch.nn.Identity(), ["ant", "bee", "cat"])
    images = torch.rand(2, 3, 8, 8)
    titles = [axes.get_title() for axes in batch_figure(model, images, torch.tensor([2, 0])).axes]
    assert titles == ["cat", "ant"]
    shares = torch.tensor([[0.05, 0.75, 0.2], [0.05, 0.05, 0.9]])
    assert [axes.get_title() for axes in batch_figure(model, images, shares).axes] == ["bee 0.75\ncat 0.20", "cat 0.90"]


def test_the_rate_that_is_found_is_trained_with(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *SMALL, "--find-lr", "--epochs", "2"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    found = float(shown.out.partition("learning rate: ")[2].split()[0])
    assert 1e-5 <= found <= 1
    with open("runs/emoji/epochs.csv") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["lr"]) == pytest.approx(found, rel=0.05)
    # A resume does not search again.
    assert main(["resume", "runs/emoji", "--epochs", "3"]) == 0
    assert "learning rate" not in capsys.readouterr().out
