"""fit, test, predict, and what a user's mistake looks like; the real command, in this process."""

import contextlib
import csv
import io
import json
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import rich
import torch
import yaml
from PIL import Image

import topk_lightning
from topk_lightning import losses
from topk_lightning._checks import InvalidValueError
from topk_lightning.cli import main
from topk_lightning.cli._prediction_forms import prediction_table
from topk_lightning.cli._running import run_command
from topk_lightning.data import EmojiDataModule
from topk_lightning.prediction import Answer, TopKPrediction, predict_topk
from topk_lightning.ranking import in_topk

CONFIG = Path(__file__).parent / "emoji.yaml"
EXAMPLE = Path(__file__).parents[2] / "examples" / "configs" / "emoji.yaml"

# Python 3.12 and later: the processes that load images are forked beside pytest's threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@pytest.fixture(autouse=True)
def ctrl_c_is_heard():
    """What a shell starts in the background inherits a Ctrl-C that is ignored, and a command leaves it so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of `fit`: its folder and its config.yaml and checkpoint."""
    root = tmp_path_factory.mktemp("fit")
    words = ["fit", "--config", str(CONFIG), "--trainer.default_root_dir", str(root)]
    assert main([*words, "--model.loss", "topk_lightning.losses.SmoothTopKSVMLoss", "--model.loss.k", "3"]) == 0
    (config,) = root.rglob("config.yaml")
    return config, next(config.parent.rglob("last.ckpt"))


def pictures(folder, classes=6, count=3):
    data = EmojiDataModule(classes=classes)
    folder.mkdir(exist_ok=True)
    for index, picture in enumerate(data.pictures("test", range(count))):
        picture.save(folder / f"{index}.png")
    return sorted(folder.iterdir())


def test_fit_writes_its_configuration_and_checkpoint(trained):
    config, checkpoint = trained
    model = yaml.safe_load(config.read_text())["model"]
    assert model["init_args"]["loss"]["class_path"] == "topk_lightning.losses.SmoothTopKSVMLoss"
    assert model["init_args"]["loss"]["init_args"]["k"] == 3
    classifier = topk_lightning.TopKClassifier.load_from_checkpoint(checkpoint)
    assert classifier.loss.k == 3
    assert classifier.class_names == EmojiDataModule(classes=6).class_names


def test_fit_shows_the_table_and_the_next_commands(tmp_path, capsys):
    assert main(["fit", "--config", str(CONFIG), "--trainer.default_root_dir", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert "train loss  val loss  top-1  top-3  top-5" in shown.out
    assert "\x1b" not in shown.out  # no terminal, no colours
    assert "95% interval" in shown.out
    assert {path.name for path in tmp_path.iterdir()} >= {
        "best.ckpt",
        "last.ckpt",
        "config.yaml",
        "epochs.csv",
        "report.html",
    }
    last = shown.out.splitlines()[-1]
    assert last.startswith("predict with it: topk-lightning predict ")
    command = shlex.split(last.removeprefix("predict with it: ").replace("IMAGES", str(pictures(tmp_path / "new")[0])))
    assert main(command[1:]) == 0
    assert "probability" in capsys.readouterr().out


def test_test_measures_the_checkpoint_on_the_test_images_prepared_as_in_training(trained, capsys):
    _, checkpoint = trained
    assert main(["test", "--ckpt_path", str(checkpoint), "--data.classes", "6"]) == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if "top-" in line}
    classifier = topk_lightning.TopKClassifier.load_from_checkpoint(checkpoint).eval()
    data = EmojiDataModule(image_size=24, classes=6)
    data.setup()
    ((images, target),) = data.test_dataloader()
    for k in (1, 3, 5):
        hits = in_topk(classifier(images), target, k).float().mean().item()
        assert lines[f"top-{k}"][1] == f"{hits:.3f}"
        assert lines[f"top-{k}"][-1] == f"{k / 6:.3f}"
        low, high = float(lines[f"top-{k}"][2]), float(lines[f"top-{k}"][4])
        assert low <= hits <= high


def test_predict_gives_the_same_answer_as_table_json_and_csv(trained, tmp_path, capsys):
    _, checkpoint = trained
    files = pictures(tmp_path / "some folder")
    words = ["predict", str(checkpoint), str(files[1]), str(files[0].parent), "--k", "3"]
    expected = predict_topk(checkpoint, [files[1], *files], k=3)
    capsys.readouterr()

    assert main([*words, "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [entry["image"] for entry in answer] == [str(file) for file in (files[1], *files)]
    for entry, row in zip(answer, expected, strict=True):
        assert [p["class"] for p in entry["predictions"]] == [p.label for p in row]
        assert [p["probability"] for p in entry["predictions"]] == [p.probability for p in row]

    assert main([*words, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    flat = [(entry["image"], rank, p) for entry in answer for rank, p in enumerate(entry["predictions"], 1)]
    assert [(row["image"], int(row["rank"]), row["class"], float(row["probability"])) for row in rows] == [
        (image, rank, p["class"], p["probability"]) for image, rank, p in flat
    ]

    assert main(words) == 0
    table = capsys.readouterr().out
    for row in expected:
        for prediction in row:
            assert f"{prediction.probability:.3f}" in table


@pytest.mark.parametrize(("count", "is_shown"), [(99, False), (100, True)])
def test_a_bar_shows_from_a_hundred_pictures_on(trained, tmp_path, capsys, monkeypatch, count, is_shown):
    (picture,) = pictures(tmp_path / "one", count=1)
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(count):
        shutil.copy(picture, folder / f"{number:03}.png")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    assert main(["predict", str(trained[1]), str(folder), "--format", "jsonl"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == count * len(predict_topk(trained[1], picture))
    assert ("Predicting" in said.err) == is_shown


def test_predictions_go_into_a_file_by_its_ending(trained, tmp_path, capsys):
    _, checkpoint = trained
    folder = tmp_path / "=1+1"
    files = pictures(folder)
    expected = [(str(file), p.label) for file in files for p in predict_topk(checkpoint, file, k=2)]
    words = ["predict", str(checkpoint), str(folder), "--k", "2", "--device", "cpu", "--batch-size", "2"]
    for name in ("new/a.csv", "a.jsonl", "a.parquet"):
        out = tmp_path / name
        assert main([*words, "--out", str(out)]) == 0
        assert capsys.readouterr().out == f"predictions: {out}\n"
        if out.suffix == ".parquet":
            rows = pytest.importorskip("pyarrow.parquet").read_table(out).to_pylist()
        else:
            text = out.read_text()
            lines = text.splitlines()
            rows = (
                list(csv.DictReader(io.StringIO(text)))
                if out.suffix == ".csv"
                else [json.loads(line) for line in lines]
            )
        assert [(row["image"], row["class"]) for row in rows] == expected
    assert main([*words, "--out", "a.txt"]) == 2


def test_an_unreadable_picture_does_not_end_the_rest(trained, tmp_path, capsys):
    _, checkpoint = trained
    files = pictures(tmp_path / "pictures")
    files[1].write_text("no image")
    assert main(["predict", str(checkpoint), str(tmp_path / "pictures"), "--k", "1", "--format", "csv"]) == 1
    shown = capsys.readouterr()
    assert [row["image"] for row in csv.DictReader(io.StringIO(shown.out))] == [str(files[0]), str(files[2])]
    assert shown.err == f"error: images must be readable, got 1 of 3 that are not: {str(files[1])!r}.\n"


def test_a_picture_of_too_many_pixels_names_the_option_that_lets_it_in(trained, tmp_path, capsys):
    _, checkpoint = trained
    files = pictures(tmp_path / "pictures")
    Image.new("RGB", (40_000, 1)).save(files[1])  # which resizing makes 24 × 960,000
    words = [str(checkpoint), str(tmp_path / "pictures"), "--k", "1", "--format", "csv"]
    assert main(["predict", *words, "--max-pixels", "10000000"]) == 1
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 1 + 2
    assert shown.err == (
        f"error: images must be readable, got 1 of 3 that are not: {str(files[1])!r}. "
        "A larger --max-pixels lets 1 of them in.\n"
    )
    assert main(["predict", *words]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 3
    assert main(["trace", str(checkpoint), str(files[1]), "--max-pixels", "10000000"]) == 1
    assert capsys.readouterr().err == (
        f"error: {files[1]} must have at most 10,000,000 pixels, got 40000 × 1, which preprocessing makes "
        "24 × 960000. A larger --max-pixels lets it in.\n"
    )
    for command in ("predict", "trace"):
        assert main([command, str(checkpoint), str(files[0]), "--max-pixels", "0"]) == 2
        assert capsys.readouterr().err == "error: --max-pixels must be a whole number from 1 on, got 0.\n"


def test_table_stays_readable_in_a_narrow_terminal(trained, tmp_path, capsys, monkeypatch):
    _, checkpoint = trained
    (file, *_) = pictures(tmp_path / "pictures")
    monkeypatch.setenv("COLUMNS", "50")
    assert main(["predict", str(checkpoint), str(file), "--k", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 50
    assert f"{predict_topk(checkpoint, file, k=2)[0].probability:.3f}" in "\n".join(lines)


def test_a_table_in_a_file_or_pipe_keeps_names_whole(trained, tmp_path, capsys, monkeypatch):
    _, checkpoint = trained
    (file, *_) = pictures(tmp_path / f"a_folder_with_a_name_{'longer_than_a_terminal_' * 4}of_80")
    monkeypatch.delenv("COLUMNS", raising=False)
    assert main(["predict", str(checkpoint), str(file), "--k", "2"]) == 0
    _, first, second = capsys.readouterr().out.splitlines()
    best = predict_topk(checkpoint, file, k=2)
    assert first.split() == [str(file), "1", *best[0].label.split(), f"{best[0].probability:.3f}"]
    assert second.split() == ["2", *best[1].label.split(), f"{best[1].probability:.3f}"]


@pytest.mark.parametrize("name", [name for name in losses.__all__ if name.endswith("Loss")])
def test_every_loss_trains_by_class_path(tmp_path, name):
    words = ["fit", "--config", str(CONFIG), "--trainer.default_root_dir", str(tmp_path)]
    assert main([*words, "--model.loss", f"topk_lightning.losses.{name}", "--trainer.fast_dev_run", "true"]) == 0


def test_callbacks_come_by_class_path_and_replace_our_own(tmp_path, capsys):
    trace = tmp_path / "epochs.json"
    words = ["fit", "--config", str(CONFIG), "--trainer.default_root_dir", str(tmp_path)]
    more = ["--trainer.callbacks+", "topk_lightning.callbacks.TrainingTrace", "--trainer.callbacks.path", str(trace)]
    assert main([*words, *more]) == 0
    assert len(json.loads(trace.read_text())) == 2
    assert capsys.readouterr().out.count("train loss") == 1


def test_modules_and_data_of_others_work(tmp_path, capsys):
    words = ["--model", "tests.cli.modules.PlainModule", "--data", "tests.cli.modules.PlainData"]
    trainer = ["--trainer.accelerator", "cpu", "--trainer.default_root_dir", str(tmp_path)]
    assert main(["fit", *words, *trainer, "--trainer.max_epochs", "1", "--trainer.log_every_n_steps", "1"]) == 0
    assert "train loss" in capsys.readouterr().out
    (checkpoint,) = tmp_path.rglob("last.ckpt")
    assert main(["test", *words, *trainer, "--ckpt_path", str(checkpoint)]) == 0
    assert "test_loss" in capsys.readouterr().out


def test_the_example_configuration_is_valid(tmp_path, capsys):
    small = ["--data.classes", "6", "--data.num_workers", "0", "--trainer.fast_dev_run", "true"]
    assert main(["fit", "--config", str(EXAMPLE), *small]) == 0


@pytest.mark.parametrize(
    ("signum", "status", "word"), [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")]
)
@pytest.mark.parametrize("steps", [1, 3])  # 2 steps an epoch: within the first, within the second
@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch:UserWarning")
@pytest.mark.filterwarnings("ignore:Training goes on within epoch:UserWarning")
def test_a_stop_keeps_this_very_step_and_says_how_to_go_on(tmp_path, capsys, steps, signum, status, word):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    words = ["fit", "--config", str(CONFIG), "--out", str(tmp_path)]
    callback = ["--trainer.callbacks+", "tests.cli.modules.Stop", "--trainer.callbacks.steps", str(steps)]
    assert main([*words, *callback, "--trainer.callbacks.signum", str(int(signum))]) == status
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    said = capsys.readouterr().err
    kept, last = tmp_path / "interrupted.ckpt", tmp_path / "last.ckpt"
    assert torch.load(kept, weights_only=True)["global_step"] == steps
    if steps == 1:
        assert said == f"{word}. This step is kept in {kept}. Go on with: topk-lightning resume {kept}\n"
    else:
        assert torch.load(last, weights_only=True)["global_step"] == 2
        assert said == (
            f"{word}. This step is kept in {kept}: topk-lightning resume {kept} goes on from it. The last finished epoch "
            f"is kept in {last}. Go on from there, as if never stopped, with: topk-lightning resume {tmp_path}\n"
        )
    # Nobody presses it again: the step is behind.
    command = shlex.split(said.split(" with: ")[1])[1:]
    assert main([*command, "--trainer.callbacks", "null", "--report", "false"]) == 0
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()[:1].isdigit()]
    assert rows == ["1", "2"]


@pytest.mark.parametrize("kind", ["StopAgain", "StopInAFailingStep"])
def test_neither_a_second_signal_nor_what_breaks_beside_it_loses_the_step(tmp_path, capsys, kind):
    words = [
        "fit",
        "--config",
        str(CONFIG),
        "--out",
        str(tmp_path),
        "--trainer.callbacks+",
        f"tests.cli.modules.{kind}",
    ]
    term = str(int(signal.SIGTERM))
    assert main([*words, "--trainer.callbacks.steps", "1", "--trainer.callbacks.signum", term]) == 143
    kept = tmp_path / "interrupted.ckpt"
    assert torch.load(kept, weights_only=True)["global_step"] == 1
    said = capsys.readouterr().err
    assert said == f"Terminated. This step is kept in {kept}. Go on with: topk-lightning resume {kept}\n"


def test_a_step_that_cannot_be_written_is_not_said_to_be_kept(tmp_path, capsys):
    words = ["fit", "--config", str(CONFIG), "--out", str(tmp_path)]
    stop = ["--trainer.callbacks+", "tests.cli.modules.StopWithoutRoom", "--trainer.callbacks.steps", "1"]
    assert main([*words, *stop]) == 130
    assert not (tmp_path / "interrupted.ckpt").exists()
    why = "This step could not be kept: No space left on device."
    assert capsys.readouterr().err == f"Interrupted. {why} Nothing was saved.\n"


@pytest.mark.parametrize("seed", range(3))
def test_damage_in_a_checkpoint_ends_resume_before_anything_is_trained(trained, tmp_path, capsys, seed):
    config, checkpoint = trained
    (tmp_path / "config.yaml").write_bytes(config.read_bytes())
    copy = tmp_path / "last.ckpt"
    content = bytearray(checkpoint.read_bytes())
    with zipfile.ZipFile(checkpoint) as archive:
        weights = max(archive.infolist(), key=lambda part: part.file_size)
        start = content.find(archive.read(weights))
    chance = random.Random(seed)
    for place in chance.sample(range(start, start + weights.file_size), 50):
        content[place] ^= chance.randrange(1, 256)
    copy.write_bytes(content)
    fit = ["fit", "--config", str(config), "--ckpt_path", str(copy), "--out", str(tmp_path / "run")]
    for words in (fit, ["resume", str(tmp_path)], ["resume", str(copy)]):
        assert main([*words, "--trainer.max_epochs", "3"]) == 1
        shown, said = capsys.readouterr()
        assert re.fullmatch(
            rf"error: ckpt_path must be an undamaged file, got '{re.escape(str(copy))}', whose .\d+. does not match its checksum\. "
            "Copy or download it again, or take another one: its numbers cannot be trusted\\.\n",
            said,
        )
        assert shown == ""
        assert not list(tmp_path.rglob("epochs.csv"))
        assert copy.read_bytes() == content


def test_ctrl_c_where_nothing_is_saved_says_so(tmp_path, capsys):
    words = ["fit", "--config", str(CONFIG), "--trainer.default_root_dir", str(tmp_path)]
    stop = ["--trainer.callbacks+", "tests.cli.modules.Stop", "--trainer.callbacks.steps", "1"]
    assert main([*words, *stop, "--trainer.enable_checkpointing", "false"]) == 130
    assert capsys.readouterr().err == "Interrupted. Nothing was saved.\n"


@pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning")
def test_resumed_fit_goes_on_in_the_same_table(trained, tmp_path, capsys):
    config, checkpoint = trained
    words = ["--config", str(config), "--ckpt_path", str(checkpoint), "--trainer.max_epochs", "3"]
    assert main(["fit", *words, "--trainer.default_root_dir", str(tmp_path)]) == 0
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()[:1].isdigit()]
    assert rows == ["1", "2", "3"]


@pytest.mark.parametrize(
    "words", [["--help"], [], *[[command, "--help"] for command in ("demo", "fit", "test", "predict")]]
)
def test_help_is_there_for_every_command(words, capsys):
    assert main(words) == 0
    assert "usage: topk-lightning" in capsys.readouterr().out


@pytest.mark.parametrize("command", [[], ["demo"], ["fit"], ["test"], ["predict"]])
def test_every_command_says_its_version(command, capsys):
    assert main([*command, "--version"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("topk-lightning")
    assert said.split()[-1] == topk_lightning.__version__


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train"], "error: the first word must be a command, got 'train'. Did you mean trace?"),
        (["predict"], "checkpoint"),
        (["predict", "x.ckpt"], "images"),
        (["demo", "--epochs", "many"], "--epochs must be a whole number, got 'many'."),
        (["fit", "--model.loss", "topk_lightning.losses.NoSuchLoss"], "NoSuchLoss"),
        (["fit", "--trainer.max_epoch", "3"], "max_epoch"),
    ],
)
def test_wrong_usage_has_status_2(words, said, capsys):
    assert main(words) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_mistakes_end_in_one_sentence(trained, tmp_path, capsys):
    _, checkpoint = trained
    (file, *_) = pictures(tmp_path / "pictures")
    text = tmp_path / "text.png"
    text.write_text("no image")
    wrong = tmp_path / "wrong.ckpt"
    wrong.write_text("no checkpoint")
    cut = tmp_path / "cut.ckpt"
    cut.write_bytes(checkpoint.read_bytes()[:5000])
    predict = ["predict", str(checkpoint)]
    sentences = {
        shlex.join([*predict, str(file), "--k", "7"]): "k must be at most the number of classes (6), got 7.",
        shlex.join([*predict, "nothing.png"]): "images must be existing files or folders, got 'nothing.png'.",
        shlex.join([*predict, str(text)]): "text.png",
        shlex.join(["predict", "nothing.ckpt", str(file)]): "nothing.ckpt",
        shlex.join(["predict", str(wrong), str(file)]): "wrong.ckpt",
        "test": "topk-lightning test must be given checkpoint, got none.",
        "test --data.classes 6": "ckpt_path must be given for a test, got None. Type topk-lightning test CHECKPOINT.",
        "test --ckpt_path nothing.ckpt": "ckpt_path must be an existing file, got 'nothing.ckpt'.",
        f"test --ckpt_path {checkpoint} --data.classes 6 --data.image_size 48": (
            "data.image_size must be 24, as the checkpoint was trained, got 48. Leave it out: a test takes it from the "
            "checkpoint."
        ),
        f"test --ckpt_path {checkpoint} --data.classes 7": "data must hold classes of the model only, got 'hatching chick'",
        f"demo --resume --out {tmp_path}": f"--resume must find last.ckpt of an earlier run, got none in '{tmp_path}'.",
        "fit --data.classes 6 --model.lr=-1": "lr must be a finite number above 0, got -1.0.",
        "fit --data ImageFolderDataModule --data.root nowhere": "error: root must hold the folder nowhere, got no such folder.",
        f"test --ckpt_path {cut} --data.classes 6": f"model must be a checkpoint that TopKClassifier saved, got '{cut}'.",
        "demo --epochs 0": "error: --epochs must be at least 1, got 0.",
        "demo --seed -1": "error: --seed must be at least 0, got -1.",
        "demo --accelerator tpuu": "error: --accelerator must be one of 'auto', 'cpu', 'gpu', 'cuda', 'mps', got 'tpuu'.",
        "fit --data.batch_size 0": "batch_size must be at least 1, got 0.",
    }
    capsys.readouterr()
    for words, sentence in sentences.items():
        usage = ("demo --epochs", "demo --seed", "demo --acc", "fit --data.", "fit --model", "test --data")
        assert main(shlex.split(words)) == (2 if words.startswith(usage) or words == "test" else 1), words
        shown = capsys.readouterr()
        assert shown.err.startswith("error: "), words
        assert sentence in shown.err, words
        assert shown.err.count("\n") == 1, shown.err
        assert shown.out == "", words


def test_a_defect_keeps_its_traceback():
    def defect():
        raise ValueError("invalid literal for int()")

    with pytest.raises(ValueError, match="invalid literal"):
        run_command(defect)


def test_an_error_of_the_users_own_code_keeps_its_traceback():
    with pytest.raises(ValueError, match="the index must be even"):
        run_command(lambda: even(3))


def even(index):
    if index % 2:
        raise ValueError(f"the index must be even, got {index}.")


def test_no_escape_sequence_of_a_name_reaches_the_terminal(capsys):
    hostile = "\x1b]0;title\x07\u202eexe.png"
    rows = [(hostile, Answer((TopKPrediction(label=hostile, index=0, probability=0.5),)))]
    rich.get_console().print(prediction_table(rows))
    with contextlib.suppress(SystemExit):
        run_command(lambda: refuse(hostile))
    shown = capsys.readouterr()
    assert not {"\x1b", "\x07", "\u202e"} & set(shown.out + shown.err)
    assert r"\x1b]0;title" in shown.out
    assert r"\x1b]0;title" in shown.err


def refuse(name):
    raise InvalidValueError(f"name must be another, got {name}.")


def test_a_reader_that_has_seen_enough_is_no_error():
    code = (
        "import sys\n"
        "from topk_lightning.cli._console import VisibleConsole\n"
        "from topk_lightning.cli._running import run_command\n"
        "sys.stdin.read()\n"
        "sys.exit(run_command(lambda: VisibleConsole().print('x')))\n"
    )
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) as run:
        run.stdout.close()
        run.stdin.close()
        assert (run.stderr.read(), run.wait()) == ("", 0)
