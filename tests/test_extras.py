"""Everything optional is an extra: without any, all of the rest works and opens no connection; what is missing is named."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: What each extra brings, as it is imported; those for work on the project itself are installed together.
BROUGHT = {
    "timm": ["timm"],
    "lightning": ["lightning"],
    "heif": ["pi_heif"],
    "fastai": ["fastai"],
    "parquet": ["pyarrow"],
    "export": ["onnx", "onnxscript", "onnxruntime"],
    "hf": ["safetensors"],
    "loggers": ["tensorboard", "wandb"],
    "optuna": ["optuna"],
    "ray": ["ray"],
    "server": ["starlette", "uvicorn", "python_multipart"],
    "study": ["pyarrow", "scipy"],
}
FOR_WORK = {"docs", "test", "dev"}
#: What the tests bring, and libraries that look for it there.
OF_OTHERS = {
    "multipart",
    "transformers",
    "accelerate",
    "datasets",
    "peft",
    "tensorboardx",
    "sklearn",
    "mapie",
    "cleanlab",
}

# Run where nothing of the above is installed.
SCRIPT = """
import importlib, os, runpy, socket, sys, warnings
from pathlib import Path

root, packages = sys.argv[1], sys.argv[2:]
opened = []

def watch(event, arguments):
    if event == "socket.getaddrinfo" or (event == "socket.connect" and arguments[0].family != getattr(socket, "AF_UNIX", None)):
        opened.append((event, str(arguments[1:])))
        raise OSError(f"a connection was opened: {arguments}")

sys.addaudithook(watch)
warnings.simplefilter("ignore")
for package in packages:
    assert importlib.util.find_spec(package) is None, package

import torch
import topk_lightning as tk
from topk_lightning.cli import main

for name in tk.__all__:
    getattr(tk, name)
data = tk.EmojiDataModule(classes=["food-fruit"], image_size=16, num_workers=0)
data.pictures("test", [0])[0].save("picture.png")
fit = ["fit", "emoji", "--data.classes", "[food-fruit]", "--image-size", "16", "--epochs", "1", "--device", "cpu"]
run = "runs/emoji"
for words in (fit, ["predict", run, "picture.png"], ["test", run, "--save-scores", "test.npz"], ["report", "test.npz"],
              ["export", run, "--format", "torch"], ["trace", run, "picture.png"]):
    status = main(words)
    assert status == 0, (words, status)
assert Path(run, "report.html").is_file()

model = tk.TrainedModel.load(Path(run, "best.ckpt"))
Path("photo.heic").write_bytes(b"\\0\\0\\0\\x18ftypheic\\0\\0\\0\\0mif1heic" + bytes(99))
Path("kept.parquet").write_bytes(b"PAR1")
Path("exported").mkdir()
Path("exported/config.json").write_text("{}")
Path("exported/model.safetensors").write_bytes(b"")

def command(*words):
    def call():
        import contextlib, io
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            status = main(list(words))
        raise ModuleNotFoundError(said.getvalue().strip() if status else "")
    return call

def program(*words):
    def call():
        sys.argv = [str(word) for word in words]
        sys.path.insert(0, str(Path(root, words[0])))
        runpy.run_path(str(Path(root, words[0])), run_name="__main__")
    return call

for extra, call in [
    ("timm", lambda: tk.TopKClassifier("timm/resnet18", num_classes=3)),
    ("timm", command(*fit, "--network", "timm/resnet18", "--out", "own")),
    ("lightning", lambda: importlib.import_module("topk_lightning.lightning")),
    ("heif", lambda: tk.predict_topk(model, "photo.heic")),
    ("fastai", lambda: importlib.import_module("topk_lightning.integrations.fastai")),
    ("parquet", command("predict", run, "picture.png", "--out", "named.parquet")),
    ("parquet", command("test", run, "--save-scores", "test.parquet")),
    ("parquet", lambda: tk.TopKPredictionWriter("named.parquet")),
    ("parquet", lambda: importlib.import_module("topk_lightning.scores").read_scores("kept.parquet")),
    ("export", command("export", run, "--format", "onnx")),
    ("hf", command("export", run, "--format", "hf")),
    ("hf", lambda: tk.TrainedModel.load("exported")),
    ("loggers", command(*fit, "--logger", "tensorboard", "--out", "own")),
    ("loggers", command(*fit, "--logger", "wandb", "--out", "own")),
    ("optuna", program("examples/tune_with_optuna.py")),
    ("ray", program("examples/ray_train.py")),
    ("server", command("serve", run)),
    ("study", program("examples/study", "--smoke")),
]:
    try:
        call()
    except (Exception, SystemExit) as error:
        print("::", extra, "::", str(error).replace(chr(10), "¶"))
    else:
        print("::", extra, ":: works")
assert not opened, opened
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """All installed packages but those that an extra brings, as links in a folder of their own."""
    folder = tmp_path_factory.mktemp("site-packages")
    left_out = {name for names in BROUGHT.values() for name in names} | OF_OTHERS
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        name = re.split(r"[-.]", entry.name)[0].lower()
        if name not in left_out and not entry.name.endswith(".pth"):
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="module")
def said(bare, tmp_path_factory):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(bare)]), "NO_COLOR": "1"}
    missing = sorted({name for names in BROUGHT.values() for name in names})
    command = [sys.executable, "-S", "-W", "ignore", "-c", SCRIPT, str(ROOT), *missing]
    folder = tmp_path_factory.mktemp("run")
    run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-1000:] + run.stderr[-3000:]
    return re.findall(r"^:: (\w+) :: (.*)$", run.stdout, re.MULTILINE)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is part of Python since 3.11")
def test_each_extra_is_tried():
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(extras) == {*BROUGHT, *FOR_WORK}


def test_without_extras_all_else_works_offline_and_each_missing_package_is_one_sentence(said):
    assert {extra for extra, _ in said} == set(BROUGHT)
    for extra, sentence in said:
        named = any(name.replace("_", "-") in sentence.replace("_", "-") for name in BROUGHT[extra]) or extra == "heif"
        one = "¶" not in sentence and f'pip install "topk-lightning[{extra}]"' in sentence
        assert (named, one) == (True, True), "\n".join(f"{extra}: {sentence}" for extra, sentence in said)
