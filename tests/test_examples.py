"""The examples, each run as a user runs it, on little data."""

import re
import runpy
import sys
import warnings
from pathlib import Path

import pytest
import torch

pytest.importorskip("torchvision")

from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"
COLOURS = {"blue": (20, 20, 220), "green": (20, 220, 20), "red": (220, 20, 20), "white": (240, 240, 240)}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Return a function that runs an example with options and returns what it printed."""

    def run_example(name, *options):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PL_GLOBAL_SEED", "0")  # so that what the example sets is undone
        monkeypatch.setattr(sys, "argv", [name, "--accelerator", "cpu", "--devices", "1", *options])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # images this small gain nothing from more
    yield run_example
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Sixteen images of each of four colours, a little different each."""
    folder = tmp_path_factory.mktemp("images")
    generator = torch.Generator().manual_seed(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir()
        for number in range(16):
            shift = torch.randint(-15, 16, (3,), generator=generator).tolist()
            colour_here = tuple(max(0, min(255, c + s)) for c, s in zip(colour, shift, strict=True))
            Image.new("RGB", (24, 20 + number % 3), colour_here).save(folder / name / f"{number}.png")
    return folder


def test_every_example_is_run():
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert names == {
        "add_metric_to_your_module.py",
        "compare_losses.py",
        "drop_in_callbacks.py",
        "finetune_resnet.py",
        "million_classes.py",
        "multi_node.py",
        "ray_train.py",
        "train_on_your_images.py",
        "tune_with_optuna.py",
    }


def test_a_module_of_your_own_logs_what_the_metrics_count(run):
    out = run("add_metric_to_your_module.py", "--max-epochs", "1", "--classes", "6")
    logged = dict(re.findall(r"^(\w+/\w+) ([\d.]+)$", out, flags=re.MULTILINE))
    assert set(logged) == {"train/loss", "train/top5", "val/top1", "val/top3", "val/top5"}
    assert float(logged["val/top1"]) <= float(logged["val/top3"]) <= float(logged["val/top5"]) <= 1


def test_two_losses_are_compared_on_the_same_pictures(run):
    losses = ["CrossEntropyLoss:label_smoothing=0.1", "SmoothTopKSVMLoss:k=3,temperature=0.5"]
    out = run(
        "compare_losses.py", "--max-epochs", "1", "--classes", "6", "--image-size", "24",
        "--lr", "0.001", "0.003", "--losses", *losses,
    )  # fmt: skip
    assert [line for line in out.splitlines() if line in losses] == losses
    found = re.findall(r"^  test/top([135]) ([\d.]+) \[([\d.]+), ([\d.]+)\]$", out, flags=re.MULTILINE)
    assert [k for k, *_ in found] == ["1", "3", "5"] * 2
    assert all(float(low) <= float(value) <= float(high) for _, value, low, high in found)


def test_the_callbacks_drop_into_a_module_that_stays_as_it_is(run, tmp_path):
    out = run("drop_in_callbacks.py", "--max-epochs", "2", "--classes", "6", "--curricula")
    logged = dict(re.findall(r"^([\w./]+) ([\d.]+)$", out, flags=re.MULTILINE))
    assert {"val/top1", "val/top5", "val/coarse_top1", "coarse_weight", "loss.temperature", "loss.k"} <= set(logged)
    assert logged["val/top1"] == logged["val/fine_top1"]
    assert float(logged["coarse_weight"]) == 0
    assert float(logged["loss.temperature"]) == 1
    assert float(logged["loss.k"]) == 3
    header, *rows = (tmp_path / "predictions.csv").read_text().splitlines()
    assert header == "image,rank,class,probability"
    assert len(rows) % 5 == 0
    assert rows


def test_your_images_are_learned_and_a_picture_is_named_from_the_checkpoint(run, tmp_path, root):
    picture = root / "red" / "0.png"
    out = run(
        "train_on_your_images.py", "--root", str(root), "--image-size", "16", "--batch-size", "8",
        "--max-epochs", "4", "--out", "out", "--picture", str(picture),
    )  # fmt: skip
    assert "4 classes, 64 images" in out
    (checkpoint,) = (tmp_path / "out").iterdir()
    assert re.fullmatch(r"epoch\d-top3-[\d.]+\.ckpt", checkpoint.name)
    best, *others = re.findall(r"^  ([\d.]+) (\w+)$", out, flags=re.MULTILINE)
    assert best[1] == "red"
    assert len(others) == 2
    assert float(best[0]) >= max(float(probability) for probability, _ in others)


def test_a_resnet_is_fine_tuned_from_weights_of_other_classes(run, tmp_path, root):
    import torchvision

    torch.save(torchvision.models.resnet18(num_classes=10).state_dict(), tmp_path / "weights.pt")
    out = run(
        "finetune_resnet.py", "--root", str(root), "--weights", "weights.pt", "--image-size", "16",
        "--batch-size", "16", "--max-epochs", "2", "--freeze-epochs", "1", "--out", "out",
    )  # fmt: skip
    assert "test/top3" in out
    log = next((tmp_path / "out").rglob("metrics.csv")).read_text()
    assert "lr-AdamW/backbone" in log
    checkpoint = next((tmp_path / "out").rglob("*.ckpt"))
    options = torch.load(checkpoint, weights_only=True)["hyper_parameters"]
    assert options["network"] == {"class_path": "resnet18", "init_args": {}}
    assert options["class_names"] == sorted(COLOURS)
    assert options["preprocessing"]["mean"] == [0.485, 0.456, 0.406]


def test_drawings_are_the_default_of_fine_tuning(run):
    out = run(
        "finetune_resnet.py", "--classes", "4", "--weights", "none", "--network", "small_cnn",
        "--image-size", "16", "--max-epochs", "1", "--out", "out",
    )  # fmt: skip
    assert "test/top1" in out
