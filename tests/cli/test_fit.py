"""The one line for a folder: what it writes out, what a run leaves, and that a named class keeps its own defaults."""

from __future__ import annotations

import csv
import inspect
import os
import pkgutil
import shlex
import shutil
import subprocess
import sys

import pytest
import torch
import yaml

from topk_lightning.cli import _lightning_cli, main
from topk_lightning.cli._words import long_words
from topk_lightning.data import EmojiDataModule

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FAST = shlex.split("--image-size 16 --batch-size 8 --device cpu")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Four classes with nine pictures each."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    data = EmojiDataModule(classes=4)
    for name in data.class_names:
        (folder / name).mkdir(parents=True)
    for split in ("train", "val", "test"):
        count = len(data.targets(split))
        for index, picture in enumerate(data.pictures(split, range(count))):
            for copy in range(2 if split != "train" else 1):
                turned = picture.rotate(5 * copy)
                turned.save(folder / data.class_names[data.targets(split)[index]] / f"{split}{index}-{copy}.png")
    return folder


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    """The folder of a run of the short form, and what it showed."""
    cwd = tmp_path_factory.mktemp("cwd")
    words = [sys.executable, "-m", "topk_lightning", "fit", str(photos), *FAST, "--epochs", "2"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return cwd / "runs" / "photos", done


def printed(words, capsys):
    assert main(["fit", *words, "--print_config"]) == 0
    return yaml.safe_load(capsys.readouterr().out)


def test_a_run_lies_in_a_folder_of_its_own(run):
    folder, done = run
    names = {path.name for path in folder.iterdir()}
    assert names >= {"config.yaml", "epochs.csv", "epochs.png", "best.ckpt", "last.ckpt", "report.html"}
    assert "95% interval" in done.stdout
    assert done.stdout.splitlines()[-3:] == [
        "checkpoint:      runs/photos/best.ckpt",
        "report:          runs/photos/report.html",
        "predict with it: topk-lightning predict runs/photos/best.ckpt IMAGES",
    ]


def test_the_best_checkpoint_has_the_lowest_validation_loss_and_the_last_is_the_last(run):
    folder, _ = run
    with (folder / "epochs.csv").open() as file:
        rows = list(csv.DictReader(file))
    best = min(range(2), key=lambda index: float(rows[index]["val/loss"]))
    steps = torch.load(folder / "last.ckpt", weights_only=True)["global_step"]
    assert torch.load(folder / "best.ckpt", weights_only=True)["global_step"] == steps * (best + 1) // 2
    assert torch.load(folder / "last.ckpt", weights_only=True)["epoch"] == 1


def test_the_commands_take_the_folder_of_a_run_for_its_best_checkpoint(run, photos, capsys):
    folder, _ = run
    picture = next(photos.rglob("*.png"))
    assert main(["predict", str(folder), str(picture), "--k", "2"]) == 0
    assert "probability" in capsys.readouterr().out
    assert main(["trace", str(folder), str(picture), "--k", "2"]) == 0
    assert "Softmax" in capsys.readouterr().out


def test_the_tests_of_a_run_are_those_of_its_split_whatever_names_the_folder(run, photos, tmp_path, capsys):
    folder, done = run
    assert main(["test", str(folder)]) == 0
    table = capsys.readouterr().out
    assert table.splitlines()[1:] == done.stdout.splitlines()[-8:-3][-len(table.splitlines()) + 1 :]
    for words in ([], ["--data", str(photos)]):
        assert main(["report", str(folder), *words, "--out", str(tmp_path / "page.html")]) == 0
        assert "36 images (" in (tmp_path / "page.html").read_text()


def test_a_run_that_was_copied_elsewhere_keeps_its_best_checkpoint(run, tmp_path, monkeypatch, capsys):
    copy = shutil.copytree(run[0], tmp_path / "copy")
    state = torch.load(copy / "last.ckpt", weights_only=True)
    (best,) = (of for name, of in state["callbacks"].items() if name.startswith("ModelCheckpoint"))
    best["best_model_score"] = best["kth_value"] = torch.tensor(0.0)  # no epoch to come is better
    best["best_k_models"] = dict.fromkeys(best["best_k_models"], torch.tensor(0.0))
    torch.save(state, copy / "last.ckpt")
    before = (copy / "best.ckpt").read_bytes(), (run[0] / "best.ckpt").read_bytes()
    monkeypatch.chdir(tmp_path)
    assert main(["resume", "copy", "--epochs", "3", "--report", "false"]) == 0
    assert "checkpoint:      copy/best.ckpt" in capsys.readouterr().out
    assert ((copy / "best.ckpt").read_bytes(), (run[0] / "best.ckpt").read_bytes()) == before


def test_a_table_is_trained_on_as_a_folder_is(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [f"{file},{file.parent.name}" for file in sorted(photos.rglob("*.png"))]
    (tmp_path / "birds.csv").write_text("\n".join(["path,label", *rows]))
    assert main(["fit", "birds.csv", *FAST, "--epochs", "1"]) == 0
    assert main(["test", "runs/birds"]) == 0
    (tmp_path / "others.csv").write_text("\n".join(["path;label", *(row.replace(",", ";") for row in rows[:7])]))
    assert main(["report", "runs/birds", "--data", "others.csv", "--out", "page.html"]) == 0
    assert "7 images in others.csv, a table" in (tmp_path / "page.html").read_text()
    assert main(["fit", "nowhere.csv"]) == 2
    sentence = "error: the folder of images must be an existing folder or csv table, got 'nowhere.csv'.\n"
    assert capsys.readouterr().err.endswith(sentence)


def test_a_second_run_of_the_name_gets_a_number_and_resume_finds_the_newest(run, photos, tmp_path, monkeypatch, capsys):
    folder, _ = run
    monkeypatch.chdir(folder.parents[1])
    monkeypatch.delenv("TOPK_LIGHTNING_RUN", raising=False)
    words = ["fit", str(photos), *FAST, "--report", "false"]
    assert main([*words, "--epochs", "1"]) == 0
    assert "runs/photos-2/best.ckpt" in capsys.readouterr().out
    assert main([*words, "--epochs", "2", "--resume"]) == 0
    assert "runs/photos-2/best.ckpt" in capsys.readouterr().out
    assert len((folder.parent / "photos-2" / "epochs.csv").read_text().splitlines()) == 3
    assert main([*words, "--out", str(folder)]) == 2
    assert "--out must be a folder without a run, got " in capsys.readouterr().err


def test_the_short_form_only_writes_the_long_one(photos, tmp_path, capsys):
    short = [
        str(photos),
        *FAST,
        "--epochs",
        "3",
        "--network",
        "resnet18",
        "--loss",
        "SmoothTopKSVMLoss",
        "--k",
        "1",
        "2",
    ]
    config = printed([*short, "--patience", "4"], capsys)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert printed(["--config", str(tmp_path / "config.yaml")], capsys) == config
    assert config["trainer"]["max_epochs"] == 3
    assert config["model"]["init_args"]["network"] == "resnet18"
    assert config["model"]["init_args"]["k"] == [1, 2]
    assert config["model"]["init_args"]["loss"]["class_path"].endswith("SmoothTopKSVMLoss")
    assert config["trainer"]["callbacks"][0]["init_args"]["patience"] == 4


@pytest.mark.parametrize("written_by", ["the run", "print_config"])
def test_the_configuration_of_a_run_gives_the_same_run_again(run, photos, written_by, tmp_path, monkeypatch, capsys):
    folder, _ = run
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOPK_LIGHTNING_RUN", raising=False)
    config = folder / "config.yaml"
    if written_by == "print_config":
        config = tmp_path / "printed.yaml"
        config.write_text(yaml.safe_dump(printed([str(photos), *FAST, "--epochs", "2"], capsys)))
    assert main(["fit", "--config", str(config), "--report", "false"]) == 0
    again = tmp_path / "runs" / "photos"
    assert (again / "epochs.csv").read_text() == (folder / "epochs.csv").read_text()


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["emoji"], "data"),
        (["--data", "topk_lightning.data.ImageFolderDataModule", "--data.root", "photos"], "data"),
        (["--data.root", "photos"], "data"),
        (["--data", "TorchvisionDataModule", "--data.name", "CIFAR10"], "data"),
        (["--data", "tests.cli.modules.OwnData"], "data"),
        (["emoji"], "model"),
        (["--model", "tests.cli.modules.PlainModule"], "model"),
        (["--model", "tests.cli.modules.OwnNetwork"], "model"),
    ],
)
def test_a_class_keeps_its_own_defaults(words, key, capsys):
    config = printed(words, capsys)[key]
    taken = inspect.signature(pkgutil.resolve_name(config["class_path"])).parameters
    defaults = {name: p.default for name, p in taken.items() if p.default is not inspect.Parameter.empty}
    given = {name: value for name, value in config.get("init_args", {}).items() if name in defaults}
    # Class names come from the data when both are built.
    assert given == {name: value for name, value in defaults.items() if name != "class_names"}


def test_a_short_option_may_stand_anywhere_beside_the_class_whose_option_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = ["--data", "TorchvisionDataModule", "--data.name", "CIFAR10"]
    for words in (
        [*data, "--image-size", "28"],
        ["--image-size", "28", *data],
        ["--image-size=28", "--epochs=2", *data],
    ):
        assert printed(words, capsys)["data"]["init_args"]["image_size"] == 28
    model = printed(["--lr", "0.5", "--model", "topk_lightning.TopKClassifier", "--data.root", "photos"], capsys)[
        "model"
    ]
    assert model["init_args"]["lr"] == 0.5


def test_a_folder_of_heic_without_its_reader_is_one_sentence_that_names_the_extra(run, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "1.heic").touch()
    calls = [["fit", "photos"], *(["predict", str(run[0]), given] for given in ("photos", "photos/cat/1.heic"))]
    script = "import sys; sys.modules['pi_heif'] = None; from topk_lightning.cli import main\n"
    script += f"sys.exit([main(words) for words in {calls!r}] != [1, 1, 1])"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    first, second, third = done.stderr.splitlines()
    remedy = 'Run pip install "topk-lightning[heif]" to read HEIC.'
    assert first == f"error: root must hold at least one image in photos/cat, got 1 .heic. {remedy}"
    assert second.endswith(f", got 2 .heic in 'photos'. {remedy}")
    assert third == f"error: images must be readable, got 1 of 1 that are not: 'photos/cat/1.heic'. {remedy}"


def test_options_after_a_yaml_file_change_it():
    words = ["--config", "c.yaml", "--epochs", "4", "--trainer.max_steps", "7"]
    assert long_words(words)[-4:] == ["--trainer.max_epochs", "4", "--trainer.max_steps", "7"]


def test_help_is_one_screen_and_imports_no_torch():
    code = "import sys; from topk_lightning.cli import main; main(['fit', '--help']); main(['--help']); print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "False"
    assert len(shown.split("usage: topk-lightning COMMAND")[0].splitlines()) <= 42
    for option in ("--network", "--weights", "--loss", "--image-size", "--epochs", "--resume", "--help all"):
        assert option in shown


def test_all_options_are_there_when_asked_for(capsys):
    assert main(["fit", "--help", "all"]) == 0
    shown = capsys.readouterr().out
    for option in ("--trainer.accumulate_grad_batches", "--model.warmup_steps", "--data.check_images"):
        assert option in shown


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["--model.help"], "--model.warmup_steps"),
        (["--data.help"], "--data.check_images"),
        (["--data.help", "EmojiDataModule"], "--data.train_vendors"),
    ],
)
def test_the_help_of_a_class_lists_its_options_and_not_all_that_might_be_given(words, option, capsys):
    assert main(["fit", *words]) == 0
    shown = capsys.readouterr().out
    assert option in shown
    assert "subclasses" not in shown
    assert len(shown.splitlines()) < 120


def test_without_a_word_on_epochs_a_training_ends(tmp_path, monkeypatch, capsys):
    assert _lightning_cli.EPOCHS == 30
    monkeypatch.setattr(_lightning_cli, "EPOCHS", 2)
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "emoji", *FAST, "--data.classes", "4", "--report", "false"]) == 0
    assert len((tmp_path / "runs" / "emoji" / "epochs.csv").read_text().splitlines()) == 3


def test_a_training_ends_early_on_a_plateau_where_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["fit", "emoji", *FAST, "--data.classes", "4", "--report", "false", "--epochs", "12"]
    assert main([*words, "--lr", "3", "--patience", "1"]) == 0  # so large a rate finds nothing better for long
    with (tmp_path / "runs" / "emoji" / "epochs.csv").open() as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file)]
    assert 2 <= len(losses) < 12
    assert losses[-1] >= min(losses[:-1])


def test_a_schedule_has_a_short_name(capsys):
    words = (
        "emoji --loss SmoothTopKSVMLoss --trainer.callbacks+ TemperatureAnnealing --trainer.callbacks.schedule Linear"
    )
    window = ["--trainer.callbacks.schedule.start", "4", "--trainer.callbacks.schedule.end", "1"]
    config = printed([*words.split(), *window], capsys)
    schedule = config["trainer"]["callbacks"][0]["init_args"]["schedule"]
    assert schedule["class_path"] == "topk_lightning.schedules.Linear"
    assert (schedule["init_args"]["start"], schedule["init_args"]["end"]) == (4, 1)


def test_predict_looks_at_its_paths_before_it_imports_torch(tmp_path):
    code = "import sys; from topk_lightning.cli import main; print(main(sys.argv[1:]), 'torch' in sys.modules)"
    (tmp_path / "model.ckpt").touch()
    for words in (["none.ckpt", "none.png"], ["model.ckpt", "none.png"]):
        call = [sys.executable, "-c", code, "predict", *words]
        assert subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == "1 False\n"
