"""What needs no torchvision works where it is not installed; what needs it says so in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SCRIPT = """
import importlib.util
assert importlib.util.find_spec("torchvision") is None

import torch
import pytorch_lightning as pl
import topk_lightning as tk

scores, target = torch.randn(8, 10), torch.randint(10, (8,))
metric = tk.TopKAccuracy(k=3)
metric.update(scores, target)
assert metric.compute() == tk.topk_accuracy(scores, target, 3)
scores.requires_grad_()
tk.SmoothTopKSVMLoss(k=3)(scores, target).backward()
assert scores.grad.isfinite().all()
assert len(tk.topk_predictions(scores, k=3, input="logits")) == 8

data = torch.utils.data.TensorDataset(torch.randn(16, 3, 16, 16), torch.randint(4, (16,)))
model = tk.TopKClassifier("small_cnn", num_classes=4)
trainer = pl.Trainer(max_epochs=1, logger=False, enable_checkpointing=False, accelerator="cpu",
                     enable_progress_bar=False, enable_model_summary=False, callbacks=[tk.TrainingTrace()])
loader = torch.utils.data.DataLoader(data, batch_size=8)
trainer.fit(model, loader, loader)
assert "val/top3" in trainer.callback_metrics
assert len(tk.predict_topk(model, torch.randn(2, 3, 16, 16), k=3)) == 2
from PIL import Image
Image.new("RGB", (20, 12)).save("picture.png")
half = tk.Preprocessing(16, mean=(0.5,) * 3, std=(0.5,) * 3)
assert len(tk.predict_topk(model, "picture.png", k=3, preprocessing=half)) == 3

for name, call in {
    "EmojiDataModule": lambda: tk.EmojiDataModule().setup("fit"),
    "ImageFolderDataModule": lambda: tk.ImageFolderDataModule("anywhere").setup("fit"),
    "resnet18": lambda: tk.TopKClassifier("resnet18", num_classes=4),
    "augment": lambda: half.training_transform("photos"),
}.items():
    try:
        call()
    except ModuleNotFoundError as error:
        print(name, "|", error)
    else:
        raise SystemExit(f"{name} works without torchvision")
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """All installed packages but torchvision, as links in a folder of their own."""
    folder = tmp_path_factory.mktemp("site-packages")
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not entry.name.startswith("torchvision"):
            (folder / entry.name).symlink_to(entry)
    return folder


def test_everything_but_images_works_and_images_say_what_is_missing(packages, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(packages)])}
    command = [sys.executable, "-S", "-W", "ignore", "-c", SCRIPT]
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    sentences = dict(line.split(" | ") for line in run.stdout.splitlines() if " | " in line)
    assert set(sentences) == {"EmojiDataModule", "ImageFolderDataModule", "resnet18", "augment"}
    for sentence in sentences.values():
        assert sentence.endswith("pip install torchvision.")
        assert "torchvision must be installed" in sentence
