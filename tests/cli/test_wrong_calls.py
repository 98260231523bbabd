"""Wrong words, values, classes and files: one sentence with the nearest right word, no usage, no traceback."""

from __future__ import annotations

import shlex
import socket

import pytest

from topk_lightning.cli import main
from topk_lightning.cli._running import run_command

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SMALL = "--data.classes 6 --image-size 16 --epochs 1 --report false"
CHECKPOINT = "checkpoint must be an existing file or the folder of a run, got 'nothing.ckpt'."

CASES = [
    ("tset", 2, "the first word must be a command, got 'tset'. Did you mean test?"),
    ("fit --netwrok resnet18", 2, "--netwrok must be an option of fit, got an unknown one. Did you mean --network?"),
    ("fit --Epochs 3", 2, "--Epochs must be an option of fit, got an unknown one. Did you mean --epochs?"),
    ("fit emoji --epochs", 2, "--epochs must be followed by its value, got none."),
    ("fit emoji --epochs 0", 2, "--epochs must be at least 1, got 0."),
    ("fit emoji --epochs many", 2, "--trainer.max_epochs must be a whole number, got 'many'."),
    ("fit photos", 2, "the folder of images must be an existing folder, got 'photos'."),
    ("fit emoji photos", 2, "fit must be given one folder, got 'emoji' and 'photos'."),
    ("fit --trainer.max_epoch 3", 2, "Did you mean --trainer.max_epochs?"),
    ("fit --lr fast", 2, "--model.lr must be a number, got 'fast'."),
    ("fit --seed x", 2, "--seed_everything must be a whole number, got 'x'."),
    ("fit --precision 17", 2, "--trainer.precision must be one of 64, 32, 16, transformer-engine, "),
    ("fit --device tpuu", 2, "You selected an invalid accelerator name: `accelerator='tpuu'`. Available names are: "),
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
    ("fit --freeze-backbone-epochs -1", 2, "freeze_backbone_epochs must be at least 0, got -1."),
    ("fit --mixup -1", 2, "mixup must be at least 0, got -1.0."),
    ("fit --label-smoothing 1.0", 2, "label_smoothing must be at least 0 and below 1, got 1.0."),
    ("fit --ema 2", 2, "ema must be a fraction in [0, 1], got 2.0."),
    ("fit --lr 0", 2, "lr must be a finite number above 0, got 0.0."),
    ("fit --batch-size 0", 2, "batch_size must be at least 1, got 0."),
    ("fit --workers -1", 2, "num_workers must be at least 0, got -1."),
    ("fit --network googlenet", 2, "network must return logits alone, got 'googlenet', which returns several outputs in training."),
    ("fit --network inception_v3", 2, "Use 'timm/inception_v3', which returns one."),
    ("fit --network timm/resnet1", 2, "network must be "),
    ("fit --weights DEFAULT", 2, "weights must be a file for this network, got 'DEFAULT' for small_cnn."),
    ("fit --model.num_classes -1", 2, "num_classes must be at least 2, got -1."),
    ("fit --balance", 2, "--data.balance must be an option of EmojiDataModule, got an unknown one."),
    ("fit --clip -1", 2, "--clip must be a number of at least 0, got -1."),
    ("fit --clip hard", 2, "--trainer.gradient_clip_val must be a number, got 'hard'."),
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
]  # fmt: skip


@pytest.mark.parametrize(("words", "status", "said"), CASES, ids=[words for words, _, _ in CASES])
def test_a_wrong_call_is_one_sentence(words, status, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.jpg").write_text("neither a picture nor a checkpoint")
    given = shlex.split(words)
    if given[0] == "fit" and "photos" not in given and "--data" not in given:
        given += [word for word in shlex.split(SMALL) if word not in given]
        if "--epochs" in words:  # the option in question stands last
            given = ["fit", *shlex.split("--data.classes 6 --image-size 16"), *shlex.split(words)[1:]]
    assert main(given) == status
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert "usage" not in shown.err


def test_weights_that_cannot_be_downloaded_are_one_sentence(tmp_path, monkeypatch, capsys):
    def refuse(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *shlex.split(SMALL), "--network", "resnet18", "--weights", "DEFAULT"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: weights must be a file or have been downloaded once, got 'DEFAULT' of resnet18 (")
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
