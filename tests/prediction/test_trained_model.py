"""TrainedModel: read once from a checkpoint, or taken from a module, and shared by every command."""

import shutil
import subprocess
import sys

import pytest
import torch
from torch import nn

pytest.importorskip("torchvision")

from PIL import Image

from topk_lightning import Preprocessing, SmallCNN, TopKClassifier, TrainedModel, predict_topk, trace_prediction
from topk_lightning.cli import main
from topk_lightning.report import write_report
from topk_lightning.serving import create_app

NAMES = ["ant", "bee", "cat"]
PREPROCESSING = Preprocessing(16, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5))
ROWS = [{"epoch": 1, "train_loss": 1.5}, {"epoch": 2, "train_loss": 0.5}]


def save(path, classifier, **more):
    content = {"state_dict": classifier.state_dict(), "hyper_parameters": dict(classifier.hparams), **more}
    torch.save(content, path)
    return path


def test_naming_a_picture_imports_neither_torchvision_nor_lightning(folder):
    code = "import sys; from topk_lightning.cli import main; assert main(sys.argv[1:]) == 0; print(*sys.modules)"
    words = ["predict", str(folder / "model.ckpt"), str(folder / "images" / "ant" / "0.png")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    modules = set(done.stdout.splitlines()[-1].split())
    assert not modules & {"torchvision", "torchmetrics", "pytorch_lightning", "torch._dynamo", "torch.onnx"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint and two test images a class."""
    root = tmp_path_factory.mktemp("model")
    for index, name in enumerate(NAMES):
        (root / "images" / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (20, 20), (80 * index, 100 * number, 0)).save(root / "images" / name / f"{number}.png")
    classifier = TopKClassifier(SmallCNN(3, width=2), class_names=NAMES, preprocessing=PREPROCESSING.to_dict())
    callbacks = {"TrainingTrace{'path': None}": {"rows": ROWS}}
    save(root / "model.ckpt", classifier, callbacks=callbacks, global_step=7)
    return root


COMMANDS = {
    "predict_topk": lambda root: predict_topk(root / "model.ckpt", root / "images", 2),
    "trace_prediction": lambda root: trace_prediction(root / "model.ckpt", root / "images" / "ant" / "0.png", k=2),
    "write_report": lambda root: write_report(root / "model.ckpt", root / "images", root / "report.html"),
    "create_app": lambda root: create_app(root / "model.ckpt", k=2),
    "predict": lambda root: main(["predict", f"{root}/model.ckpt", f"{root}/images", "--k", "2"]),
    "trace": lambda root: main(["trace", f"{root}/model.ckpt", f"{root}/images/ant/0.png", "--k", "2"]),
    "report": lambda root: main(
        ["report", f"{root}/model.ckpt", "--data", f"{root}/images", "--out", f"{root}/page.html"]
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_reads_the_checkpoint_exactly_once(command, folder, monkeypatch):
    read, load = [], torch.load
    monkeypatch.setattr(torch, "load", lambda path, *args, **options: read.append(path) or load(path, *args, **options))
    assert COMMANDS[command](folder) not in (1, 2)
    assert [str(path) for path in read] == [str(folder / "model.ckpt")]


def test_a_checkpoint_says_all_that_is_known_of_its_network(folder):
    model = TrainedModel.load(folder / "model.ckpt")
    assert (model.kind, model.class_names, model.preprocessing) == ("SmallCNN", NAMES, PREPROCESSING)
    assert (model.k, model.epochs, model.steps, model.path) == ((1,), ROWS, 7, folder / "model.ckpt")
    assert model.hyperparameters["network"]["class_path"] == "small_cnn"


def test_the_folder_of_a_run_stands_for_its_best_checkpoint(folder, tmp_path):
    assert TrainedModel.load(folder / "model.ckpt").path == folder / "model.ckpt"
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(FileNotFoundError, match="model must be an existing checkpoint"):
        TrainedModel.load(run)
    for name in ("last.ckpt", "best.ckpt"):
        shutil.copy(folder / "model.ckpt", run / name)
        assert TrainedModel.load(run).path == run / name
    picture = folder / "images" / "ant" / "0.png"
    assert predict_topk(str(run), picture) == predict_topk(folder / "model.ckpt", picture)


def test_a_module_says_what_it_holds_and_what_is_given_goes_first():
    classifier = TopKClassifier(SmallCNN(3, width=2), class_names=NAMES, preprocessing=PREPROCESSING.to_dict())
    model = TrainedModel.load(classifier)
    assert (model.network, model.class_names, model.preprocessing) == (classifier, NAMES, PREPROCESSING)
    assert (model.kind, model.path) == ("SmallCNN", None)
    other = TrainedModel.load(
        model, class_names={"x": 0, "y": 1, "z": 2}, preprocessing=Preprocessing(8, (0.0,) * 3, (1.0,) * 3)
    )
    assert (other.network, other.class_names, other.preprocessing.image_size) == (classifier, ["x", "y", "z"], 8)
    with pytest.raises(ValueError, match=r"^class_names must hold 3 names, one a class, got 2\.$"):
        TrainedModel.load(model, class_names=["x", "y"])
    bare = TrainedModel.load(nn.Flatten())
    assert (bare.class_names, bare.preprocessing, bare.k, bare.device) == (None, None, (), torch.device("cpu"))


def test_logits_are_those_of_evaluation_and_each_module_keeps_its_mode():
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(3), nn.Dropout(0.5))
    network[2].eval()
    images = torch.randn(4, 3, 1, 1)
    expected = images.flatten(1) / (1 + network[1].eps) ** 0.5  # the running mean is 0 and the variance 1
    network[1].train()
    torch.testing.assert_close(TrainedModel.load(network).logits(images), expected)
    assert [module.training for module in network] == [True, True, False]
    assert network[1].num_batches_tracked == 0


def test_a_picture_of_a_prepared_image_is_the_image():
    pixels = torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8)
    model = TrainedModel.load(nn.Flatten(), preprocessing=PREPROCESSING)
    torch.testing.assert_close(model.picture(model.prepare(pixels)), pixels.movedim(0, -1) / 255)


def test_a_picture_of_unknown_normalisation_runs_from_black_to_white():
    model = TrainedModel.load(nn.Flatten())
    shown = model.picture(torch.tensor([-3.0, 0.0, 1.0, float("nan")]).view(1, 2, 2))
    assert shown.shape == (2, 2, 1)
    torch.testing.assert_close(shown.flatten(), torch.tensor([0.0, 3 / 4, 1.0, 3 / 4]))
    assert torch.equal(model.picture(torch.full((3, 2, 2), 5.0)), torch.zeros(2, 2, 3))


@pytest.mark.parametrize("wrap", [lambda n: n, torch.compile], ids=["plain", "compiled"])
@pytest.mark.parametrize("fill", [lambda n: n, torch.compile], ids=["plain", "compiled"])
def test_weights_of_a_compiled_network_are_those_of_the_network(wrap, fill, tmp_path):
    trained = SmallCNN(3, width=2)
    classifier = TopKClassifier(wrap(trained), 3)
    path = save(tmp_path / "model.ckpt", classifier)
    empty = SmallCNN(3, width=2)
    model = TrainedModel.load(path, fill(empty))
    assert model.kind == "SmallCNN"
    for name, value in trained.state_dict().items():
        assert torch.equal(empty.state_dict()[name], value)
