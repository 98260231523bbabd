"""Try the wheel in dist/ with what it asks for, nothing lent, in a bare environment of each Python.

    python tests/wheels.py 3.10 3.13

`make wheels` builds it first. An environment takes 6 GB, so there is one at a time, and it is removed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DIST = Path(__file__).resolve().parents[1] / "dist"
TRIAL = """
import platform
from importlib.metadata import version
from pathlib import Path

import pytorch_lightning as pl
import torch
from topk_lightning import EmojiDataModule, TopKAccuracy, TopKClassifier, __version__, predict_topk, topk_accuracy

assert __version__ == version("topk-lightning")
scores = torch.tensor([[0.1, 0.8, 0.05, 0.05], [0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]])
assert topk_accuracy(scores, torch.tensor([1, 2, 3]), k=2) * 3 == 1
metric = TopKAccuracy(k=2)
metric.update(scores, torch.tensor([1, 2, 3]))
assert metric.compute() * 3 == 1

data = EmojiDataModule(classes=["food-fruit"], image_size=16, num_workers=0)
model = TopKClassifier("small_cnn", num_classes=data.num_classes)
trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
trainer.fit(model, data)
(measured,) = trainer.test(model, data, verbose=False)
trainer.save_checkpoint("model.ckpt")
picture = data.pictures("test", [0])[0]
picture.save("picture.png")
for image, target in zip(data.pictures("test"), data.targets("test")):
    folder = Path("photos", data.class_names[target])
    folder.mkdir(parents=True, exist_ok=True)
    image.save(folder / "1.png")
assert len(predict_topk("model.ckpt", picture, k=3)) == 3
print(
    f"Python {platform.python_version()}: topk-lightning {__version__}, torch {torch.__version__}, "
    f"Lightning {pl.__version__}; top-5 {measured['test/top5']:.3f} after an epoch"
)
"""
COMMANDS = [
    "--version",
    "--help",
    "fit emoji --data.classes [food-fruit] --image-size 16 --epochs 1 --device cpu",
    "resume runs/emoji --epochs 2",
    "test runs/emoji --save-scores test.npz",
    "report runs/emoji --out page.html",
    "report runs/emoji --data photos --out photos.html",
    "calibrate test.npz",
    "sets test.npz --test test.npz --coverage 0.8",
    "review test.npz --test test.npz",
    "compare test.npz test.npz --out comparison.html",
    "predict runs/emoji picture.png --k 3",
    "predict runs/emoji picture.png --out names.csv",
    "trace runs/emoji picture.png --picture trace.png",
    "export runs/emoji --format torch",
    "serve --help",
]
WRITTEN = (
    "runs/emoji/report.html",
    "page.html",
    "photos.html",
    "comparison.html",
    "names.csv",
    "trace.png",
    "model.pt2",
)


def python_of(version: str) -> str:
    """Return the program of a version: on the path, or one that pyenv has."""
    found = shutil.which(f"python{version}")
    candidates = [found] if found else []
    candidates += map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")))
    for candidate in candidates:  # a shim of pyenv is found, too, and does not run
        if subprocess.run([candidate, "--version"], capture_output=True, check=False).returncode == 0:
            return candidate
    sys.exit(f"Python {version} must be installed to try the wheel, got none.")


def try_wheel(wheel: Path, version: str) -> None:
    """Install and use the wheel, and end with what failed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = {"cwd": folder, "check": True, "env": {**os.environ, "PYTHONPATH": "", "PYTHONWARNINGS": "ignore"}}
        subprocess.run([python_of(version), "-m", "venv", "bare"], **run)
        scripts = folder / "bare" / ("Scripts" if os.name == "nt" else "bin")
        subprocess.run([scripts / "python", "-m", "pip", "install", "--quiet", str(wheel)], **run)
        subprocess.run([scripts / "python", "-c", TRIAL], **run)
        for words in COMMANDS:
            command = [scripts / "topk-lightning", *words.split()]
            done = subprocess.run(command, **{**run, "check": False}, capture_output=True)
            if done.returncode:
                sys.exit(f"topk-lightning {words}\n{done.stdout.decode()}{done.stderr.decode()}")
        for name in WRITTEN:
            if not (folder / name).is_file():
                sys.exit(f"The commands must write {name}, got none.")


if __name__ == "__main__":
    (wheel,) = DIST.glob("*.whl")
    for version in sys.argv[1:]:
        try_wheel(wheel, version)
