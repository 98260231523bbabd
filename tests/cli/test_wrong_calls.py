"""Wrong words, values, classes and files: one sentence with the nearest right word, no usage, no traceback."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket

import pytest
import torch
from jsonargparse import Namespace
from PIL import Image

from topk_lightning.cli import main
from topk_lightning.cli._running import run_command
from topk_lightning.cli._trainer import check_processes
from topk_lightning.cli._words import OPTIONS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SMALL = "--data.classes 6 --image-size 16 --epochs 1 --report false"
CHECKPOINT = "checkpoint must be an existing file or the folder of a run, got 'nothing.ckpt'."

CASES = [
    ("tset", 2, "the first word must be a command, got 'tset'. Did you mean test?"),
    ("fit --netwrok resnet18", 2, "--netwrok must be an option of fit, got an unknown one. Did you mean --network?"),
    ("fit --Epochs 3", 2, "--Epochs must be an option of fit, got an unknown one. Did you mean --epochs?"),
    ("fit emoji --epochs", 2, "--epochs must be followed by its value, got none."),
    ("fit emoji --epochs 0", 2, "--epochs must be at least 1, got 0."),
    ("fit emoji --epochs many", 2, "--epochs must be a whole number, got 'many'."),
    ("fit photos", 2, "the folder of images must be an existing folder, got 'photos'."),
    ("fit emoji photos", 2, "fit must be given one folder, got 'emoji' and 'photos'."),
    ("fit --trainer.max_epoch 3", 2, "Did you mean --trainer.max_epochs?"),
    ("fit --lr fast", 2, "--lr must be a number, got 'fast'."),
    ("fit --seed x", 2, "--seed must be a whole number, got 'x'."),
    ("fit --precision 17", 2, "--precision must be one of 64, 32, 16, transformer-engine, "),
    ("fit --device tpuu", 2, "--device must be one of auto, "),
    ("fit --data.clases 6", 2, "--data.clases must be an option of EmojiDataModule, got an unknown one. Did you mean --data.classes?"),
    ("fit --data NoData", 2, "--data must be the name or import path of a class that fits there, got 'NoData'."),
    ("fit --data ImageFolderDataModule", 2, "ImageFolderDataModule must be given root, got none. Add --data.root."),
    ("fit --loss SmoothTopkSVMLoss", 2, "got 'SmoothTopkSVMLoss'. Did you mean SmoothTopKSVMLoss?"),
    ("fit --loss SmoothTopKSVMLoss --model.loss.kk 3", 2, "--model.loss.kk must be an option of SmoothTopKSVMLoss, got an unknown one. Did you mean --model.loss.k?"),
    ("fit --network rennet18", 2, "Did you mean 'resnet18'"),
    ("fit --network resnet18 --weights no.pth", 1, "weights must be an existing file, got 'no.pth'."),
    ("fit --k 9", 2, "k must be at most the number of classes (6), got 9."),
    ("fit --augment foo", 2, "augment must be one of 'none', 'photos', 'randaugment', 'trivialaugment', 'drawings', got 'foo'."),
    ("fit --config no.yaml", 2, "no.yaml"),
    ("fit --trainer.callbacks+ EarlyStoping", 2, "Did you mean EarlyStopping?"),
    ("fit --trainer.callbacks+ EarlyStopping", 2, "EarlyStopping must be given monitor, got none. Add --trainer.callbacks.monitor."),
    ("fit --trainer.callbacks+ EarlyStopping --trainer.callbacks.monitor val/top9", 1, "monitor of EarlyStopping must be a name that is logged, got 'val/top9'. Logged are: 'val/loss', 'val/top1', "),
    ("fit --trainer.logger MLFlowLogger", 1, "mlflow"),
    ("fit --network vit_b_16", 1, "image size must be one that this network takes, such as 224, got 16."),
    ("fit --network timm/vit_tiny_patch16_224", 1, "image size must be one that this network takes, such as 224, got 16."),
    ("fit --ckpt_path text.jpg", 1, "ckpt_path must be a checkpoint that a training saved, got 'text.jpg'."),
    ("fit --ckpt_path last", 1, "--resume must find last.ckpt of an earlier run, got none in 'runs/emoji'."),
    ("fit --resume", 1, "--resume must find last.ckpt of an earlier run, got none in 'runs/emoji'."),
    ("fit emoji --show-batches", 2, "--show-batches must be an option of fit, got an unknown one. Did you mean --show-batch?"),
    ("fit --freeze-backbone-epochs -1", 2, "--freeze-backbone-epochs must be at least 0, got -1."),
    ("fit --mixup -1", 2, "mixup must be at least 0, got -1.0."),
    ("fit --label-smoothing 1.0", 2, "--label-smoothing must be at least 0 and below 1, got 1.0."),
    ("fit --ema 2", 2, "ema must be a fraction in [0, 1], got 2.0."),
    ("fit --lr 0", 2, "lr must be a finite number above 0, got 0.0."),
    ("fit --batch-size 0", 2, "--batch-size must be at least 1, got 0."),
    ("fit --workers -1", 2, "--workers must be at least 0, got -1."),
    ("fit --network googlenet", 2, "network must return logits alone, got 'googlenet', which returns several outputs in training."),
    ("fit --network inception_v3", 2, "Use 'timm/inception_v3', which returns one."),
    ("fit --network timm/resnet1", 2, "network must be "),
    ("fit --weights DEFAULT", 2, "weights must be a file for this network, got 'DEFAULT' for small_cnn."),
    ("fit --model.num_classes -1", 2, "num_classes must be at least 2, got -1."),
    ("fit --balance", 2, "--balance must be an option of EmojiDataModule, got an unknown one."),
    ("fit --clip -1", 2, "--clip must be a number of at least 0, got -1."),
    ("fit --clip hard", 2, "--clip must be a number, got 'hard'."),
    ("fit --model topk_lightning.TopKClassifiers", 2, "--model must be the name or import path of a class that fits there, got 'topk_lightning.TopKClassifiers'. Did you mean TopKClassifier?"),
    ("fit --data topk_lightning.data.ImageFolderDataModul", 2, "Did you mean ImageFolderDataModule?"),
    ("fit --trainer.callbacks+ topk_lightning.TrainingTrac", 2, "Did you mean TrainingTrace?"),
    ("fit --trainer.callbacks+ TemperatureAnnealing --trainer.callbacks.schedul cosine", 2, "Did you mean --trainer.callbacks.schedule?"),
    ("fit --trainer.callbacks+ TemperatureAnnealing --trainer.callbacks.schedule cosin", 2, "--trainer.callbacks.schedule must be one of exponential, linear, cosine, or the name or import path of a class that fits there, got 'cosin'. Did you mean cosine?"),
    ("fit --trainer.callbacks+ TemperatureAnnealing --trainer.callbacks.schedule Lineer", 2, "Did you mean Linear?"),
    ("fit --model.loss.temperature 3", 2, "--loss must be given with --model.loss.temperature, got none. Its name says whose option it is."),
    ("fit --model.help SmallCNM", 2, "SmallCNM"),
    ("predict text.jpg text.jpg", 1, "text.jpg"),
    ("predict text.jpg text.jpg --device tpu", 2, "--device must be one of 'auto', 'cpu', 'cuda', 'mps', got 'tpu'."),
    ("predict text.jpg text.jpg --out a.xls", 2, "--out must end in .csv, .jsonl or .parquet, got 'a.xls'."),
    ("predict text.jpg text.jpg --k 0", 2, "--k must be at least 1, got 0."),
    ("trace text.jpg text.jpg --picture a.gif", 2, "--picture must end in .png, got 'a.gif'."),
    ("serve text.jpg --port 99999", 1, "--port must be from 0 to 65535, got 99999."),
    ("demo --epochs 0", 2, "--epochs must be at least 1, got 0."),
    ("demo --seed -1", 2, "--seed must be at least 0, got -1."),
    ("resume", 2, "resume must be given the folder of a run, got none."),
    ("resume nowhere", 1, "resume must be given a folder with config.yaml and last.ckpt, got 'nowhere'."),
    ("predict nothing.ckpt x.png", 1, CHECKPOINT),
    ("predict text.jpg x.png", 1, "images must be existing files or folders, got 'x.png'."),
    ("predict text.jpg text.jpg --batch-size 0", 2, "--batch-size must be at least 1, got 0."),
    ("predict text.jpg text.jpg --formt csv", 2, "Did you mean --format?"),
    ("predict text.jpg text.jpg --format jsno", 2, "--format must be one of 'table', 'json', 'csv', 'jsonl', got 'jsno'. Did you mean json?"),
    ("predict text.jpg text.jpg --k", 2, "--k must be followed by its value, got none."),
    ("predict text.jpg text.jpg --k two", 2, "--k must be a whole number, got 'two'."),
    ("export text.jpg --format onxx", 2, "--format must be one of 'onnx', 'torch', 'hf', got 'onxx'. Did you mean onnx?"),
    ("review text.jpg --among accepetd", 2, "--among must be one of 'all', 'accepted', got 'accepetd'. Did you mean accepted?"),
    ("test nothing.ckpt", 1, CHECKPOINT),
    ("serve nothing.ckpt", 1, CHECKPOINT),
    ("report nothing.ckpt", 1, CHECKPOINT),
    ("trace nothing.ckpt x.png", 1, CHECKPOINT),
    ("fit text.jpg", 2, "the folder of images must be an existing folder or csv table, got 'text.jpg'."),
    ("fit --seed -1", 2, "--seed must be at least 0, got -1."),
    ("fit --lr nan", 2, "--lr must be a number, got 'nan'."),
    ("fit --lr 1e400", 2, "lr must be a finite number above 0, got inf."),
    ("fit --lr=", 2, "--lr must be a number, got ''."),
    ("fit --k 1 1", 2, "k must hold each k once, got (1, 1)."),
    ("fit --patience -3", 2, "--patience must be at least 1, got -3."),
    ("fit --image-size 1.5", 2, "--image-size must be a whole number, got '1.5'."),
    ("fit --image-size 8", 1, "images must be at least 16 x 16 pixels, got 8 x 8."),
    ("fit --out text.jpg", 1, "--out must be a folder, got 'text.jpg', where a file stands."),
    ("fit --logger comet", 2, "--logger must be one of 'tensorboard', 'csv', 'wandb', got 'comet'."),
    ("fit --report maybe", 2, "--report must be true or false, got 'maybe'."),
    ("fit emoji --balance false", 2, "fit must be given one folder, got 'emoji' and 'false'."),
    ("fit --network json:loads", 2, "network must be given the arguments that it takes, got json:loads ['num_classes'] (missing a required argument: 's')."),
    ("fit --network torch.nn.Linear", 2, "network must be given the arguments that it takes, got torch.nn.Linear [] (missing a required argument: 'in_features')."),
    ("fit --network os.system", 2, "network must be the import path of an nn.Module class, got 'os.system'."),
    ("fit --network maxvit_t", 1, "image size must be one that this network takes, such as 224, got 16."),
    ("fit --loss json.loads", 2, "--loss must be the name or import path of a class that fits there, got 'json.loads'."),
    ("fit --loss TopKAccuracy", 2, "loss must be differentiable, got TopKAccuracy"),
    ("fit --config half.yaml", 2, "--config must be a yaml file of options, name: value, got while parsing a flow node"),
    ("fit --config wrong.yaml", 2, "--config must hold options of fit, got 'modle.lr'. Did you mean model?"),
    ("fit --config list.yaml", 2, "--config must be a yaml file of options, name: value, got - 1."),
    ("fit --config empty.yaml", 2, "--config must be a yaml file of options, name: value, got nothing."),
    ("fit --ckpt_path plain.ckpt", 1, "ckpt_path must be a checkpoint that a training saved, got 'plain.ckpt', which holds something else."),
    ("fit --ckpt_path folder", 1, "ckpt_path must be an existing file, got 'folder'."),
    (f"predict {'n' * 300} text.jpg", 1, "checkpoint must be an existing file or the folder of a run, got 'nnn"),
    (f"predict text.jpg {'n' * 300}", 1, "images must be existing files or folders, got 'nnn"),
    ("predict folder text.jpg", 1, "checkpoint must be a file, or a folder with best.ckpt, got 'folder'."),
    ("predict plain.ckpt text.jpg", 1, "model must be a checkpoint that TopKClassifier saved, got 'plain.ckpt'."),
    ("predict text.jpg folder", 1, "images must hold a file that ends in .avif, "),
    ("predict text.jpg http://a.org/a.png", 1, "images must be existing files or folders, got 'http://a.org/a.png'."),
    ("predict text.jpg text.jpg --batch-size x", 2, "--batch-size must be a whole number, got 'x'."),
    ("predict text.jpg text.jpg --coverage 90", 2, "--coverage must lie between 0 and 1, got 90.0."),
    ("predict", 2, "topk-lightning predict must be given checkpoint, images, got none."),
    ("trace text.jpg text.jpg text.jpg", 2, "text.jpg must be an option of topk-lightning trace, got an unknown one."),
    ("report text.jpg --out x.pdf", 2, "out must be the name of an .html file, got 'x.pdf'."),
    ("compare text.jpg", 2, "the models must be two models, or as many on each side of --against, got 1."),
    ("export text.jpg", 2, "topk-lightning export must be given format, got none."),
    ("fit --model.lr fast", 2, "--model.lr must be a number, got 'fast'."),
    ("fit --devices 2", 2, "--devices must be an option of fit, got an unknown one. Did you mean --trainer.devices?"),
    ("fit --max_epochs 2", 2, "--max_epochs must be an option of fit, got an unknown one. Did you mean --epochs?"),
    ("fit --num_workers 2", 2, "Did you mean --workers?"),
    ("fit --device cpu --trainer.devices 99999", 2, "--trainer.devices must be at most "),
    ("resume folder", 1, "resume must be given a folder with config.yaml and last.ckpt, got 'folder'."),
]  # fmt: skip


@pytest.mark.parametrize(("words", "status", "said"), CASES, ids=[words for words, _, _ in CASES])
def test_a_wrong_call_is_one_sentence(words, status, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.jpg").write_text("neither a picture nor a checkpoint")
    (tmp_path / "folder").mkdir()
    for name, text in (("half", "model: [\n"), ("wrong", "modle:\n  lr: 1\n"), ("list", "- 1\n"), ("empty", "")):
        (tmp_path / f"{name}.yaml").write_text(text)
    torch.save({"a": 1}, tmp_path / "plain.ckpt")
    given = shlex.split(words)
    if given[0] == "fit" and {"photos", "--data", "--config"}.isdisjoint(given):
        small = shlex.split(SMALL)
        # The option in question stands last.
        pairs = zip(small[::2], small[1::2], strict=True)
        given[1:1] = [word for pair in pairs if pair[0] not in given for word in pair]
    assert main(given) == status
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert "usage" not in shown.err


@pytest.mark.parametrize("name", [name for of in OPTIONS.values() for name, (_, value, _) in of.items() if value])
def test_a_wrong_value_names_the_option_that_was_typed(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_text("a file where a folder should be")
    assert main(["fit", "emoji", f"--{name}", "a"]) in (1, 2)
    said = capsys.readouterr().err
    assert said.startswith(f"error: --{name} must ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("devices", "accelerator", "processors", "is_refused"),
    [
        (8, "cpu", 1, False),
        ("9", "cpu", 1, True),
        (16, "cpu", 4, False),
        (17, "cpu", 4, True),
        ("auto", "cpu", 1, False),
        (99, "gpu", 1, False),
    ],
)
def test_four_processes_a_processor_are_enough(devices, accelerator, processors, is_refused, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(processors), raising=False)
    refused = pytest.raises(ValueError, match=rf"^--trainer\.devices must be at most {max(8, 4 * processors)} on")
    with refused if is_refused else contextlib.nullcontext():
        check_processes(Namespace(devices=devices, accelerator=accelerator))


def test_weights_that_cannot_be_downloaded_are_one_sentence(tmp_path, monkeypatch, capsys):
    def refuse(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *shlex.split(SMALL), "--network", "resnet18", "--weights", "DEFAULT"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: --weights must be a file or have been downloaded once, got 'DEFAULT' of resnet18 (")
    assert said.endswith("). Save their state_dict where there is a connection, and name that file.")


def test_an_error_of_a_loggers_own_is_one_sentence(monkeypatch, capsys):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")

    def fail():
        raise wandb.errors.UsageError("No API key configured. Use `wandb login` to log in.\nMore.")

    assert run_command(fail) == 1
    assert capsys.readouterr().err == "error: No API key configured. Use `wandb login` to log in.\n"


def test_a_checkpoint_of_another_network_is_said_in_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = shlex.split("--data.classes 6 --image-size 16 --report false")
    assert main(["fit", *small, "--epochs", "1", "--out", "first"]) == 0
    capsys.readouterr()
    more = ["--model.network", "mobilenet_v3_small", "--epochs", "2", "--out", "second"]
    assert main(["fit", *small, *more, "--ckpt_path", "first/last.ckpt"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ckpt_path must be a checkpoint of the same network, got another one (")
    assert said.count("\n") == 1


def test_a_half_checkpoint_is_said_in_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *shlex.split(SMALL), "--out", "run"]) == 0
    last = tmp_path / "run" / "last.ckpt"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    for words in (["resume", "run", "--epochs", "2"], ["fit", *shlex.split(SMALL), "--out", "run", "--resume"]):
        capsys.readouterr()
        assert main(words) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert "last.ckpt" in said
        assert said.count("\n") == 1


def test_a_device_that_is_not_there_is_one_sentence(tmp_path, monkeypatch, capsys):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *shlex.split(SMALL), "--out", "run"]) == 0
    Image.new("RGB", (8, 8)).save("a.png")
    capsys.readouterr()
    assert main(["predict", "run", "a.png", "--device", "cuda"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: --device must be one that works here, got 'cuda' (")
    assert said.count("\n") == 1
