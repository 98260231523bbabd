"""Files of strangers run nothing: the gate of class paths, tried with modules and payloads that leave a mark."""

import os
import subprocess
import sys
from importlib.metadata import version

import numpy
import pytest
import torch
from torch import nn

from topk_lightning import SmallCNN, TopKClassifier, TrainedModel, predict_topk
from topk_lightning.cli import main
from topk_lightning.cli._lightning_parser import check_class_paths
from topk_lightning.hierarchy import load_pretrained
from topk_lightning.networks import build_network
from topk_lightning.networks.class_paths import import_class, trusted_options
from topk_lightning.networks.description import describe_callable, describe_network
from topk_lightning.scores import read_scores

IMAGE = torch.rand(3, 16, 16)

STRANGER = """
import pathlib
pathlib.Path({mark!r}).write_text("imported")
from torch import nn

class Net(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, num_classes))

def build(num_classes):
    return Net(num_classes)

def number():
    return 3
"""


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A package that leaves a mark where it is imported, and a checkpoint that names it."""
    (tmp_path / "strangers").mkdir()
    mark = tmp_path / "mark"
    (tmp_path / "strangers" / "__init__.py").write_text("")
    (tmp_path / "strangers" / "net.py").write_text(STRANGER.format(mark=str(mark)))
    monkeypatch.syspath_prepend(tmp_path)
    yield mark
    for name in [name for name in sys.modules if name.startswith("strangers")]:
        del sys.modules[name]


def checkpoint(path, network, state=None, **options):
    """Write a checkpoint by hand, as a stranger would."""
    classifier = TopKClassifier(SmallCNN(3, width=2), 3)
    hparams = {**classifier.hparams, "network": network, **options}
    whole = {"epoch": 0, "global_step": 0, "pytorch-lightning_version": version("pytorch-lightning")}
    torch.save({**whole, "state_dict": state or classifier.state_dict(), "hyper_parameters": hparams}, path)
    return path


def linear_state():
    return {f"network.2.{name}": value for name, value in nn.Linear(3, 3).state_dict().items()}


def test_a_checkpoint_imports_a_package_of_others_only_where_it_is_trusted(stranger, tmp_path):
    path = checkpoint(tmp_path / "model.ckpt", {"class_path": "strangers.net.Net", "init_args": {}}, linear_state())
    wanted = (
        "network must be of timm, topk_lightning, torch or torchvision in a checkpoint, got 'strangers.net.Net'. "
        "Importing runs code: if you trust it, say trust=['strangers'], on the command line --trust strangers."
    )
    for load in (predict_topk, lambda path, _: TopKClassifier.load_from_checkpoint(path)):
        with pytest.raises(ValueError, match="network") as raised:
            load(path, IMAGE)
        assert str(raised.value) == wanted
    assert not stranger.exists()
    assert len(predict_topk(path, IMAGE, 3, trust=["strangers"])) == 3
    assert stranger.exists()
    assert isinstance(TopKClassifier.load_from_checkpoint(path, trust="strangers").network, nn.Sequential)


def test_the_command_line_trusts_by_the_same_word_and_takes_a_function(stranger, tmp_path, capsys):
    pytest.importorskip("torchvision")
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "image.png")
    prepared = {"preprocessing": {"image_size": 8, "mean": [0.5] * 3, "std": [0.5] * 3}}
    path = checkpoint(tmp_path / "model.ckpt", {"class_path": "strangers.net.Net"}, linear_state(), **prepared)
    words = ["predict", str(path), str(tmp_path / "image.png"), "--k", "3"]
    assert main(words) == 1
    assert "--trust strangers" in capsys.readouterr().err
    for command in ("test", "report", "serve"):
        assert main([command, str(path)]) == 1
        assert "--trust strangers" in capsys.readouterr().err
    assert not stranger.exists()
    assert main(["test", str(path), "--trust", "strangers"]) == 1
    assert capsys.readouterr().err.startswith("error: --data must be given for ")  # it got past the gate
    assert main([*words, "--trust", "strangers"]) == 0
    checkpoint(path, {"unnamed": "a network"}, linear_state(), **prepared)
    assert main(words) == 1
    assert main([*words, "--network", "strangers.net:build"]) == 0
    capsys.readouterr()
    assert main([*words, "--network", "strangers.net:number"]) == 1
    assert "network must be an nn.Module where strangers.net:number returns one, got int." in capsys.readouterr().err


@pytest.mark.parametrize("argument", ["network", "loss"])
@pytest.mark.parametrize(
    "path",
    ["topk_lightning.TopKClassifier", "topk_lightning.lightning.TopKClassifier", "topk_lightning.classifier.TopKClassifier",
     "topk_lightning.cli._lightning_cli.TopKClassifier"],
)  # fmt: skip
def test_a_checkpoint_names_no_module_of_ours_that_would_build_what_its_arguments_name(
    stranger, argument, path, tmp_path
):
    inside = {"network": {"class_path": "strangers.net.Net"}, "num_classes": 3}
    model = checkpoint(
        tmp_path / "model.ckpt", **{"network": "small_cnn", argument: {"class_path": path, "init_args": inside}}
    )
    with pytest.raises(ValueError, match=f"^{argument} must be a {argument} in a checkpoint, got '{path}'") as raised:
        TopKClassifier.load_from_checkpoint(model)
    assert str(raised.value) == f"{argument} must be a {argument} in a checkpoint, got {path!r}."
    if argument == "network":
        with pytest.raises(ValueError, match=r"^network must be a network in a checkpoint"):
            predict_topk(model, IMAGE)
    assert not stranger.exists()


def test_our_networks_and_losses_have_a_short_path_too():
    for options in (
        {
            "network": {"class_path": "topk_lightning.SmallCNN"},
            "loss": {"class_path": "topk_lightning.SmoothTopKSVMLoss"},
        },
        {
            "network": "topk_lightning.networks.SmallCNN",
            "loss": {"class_path": "topk_lightning.functional.soft_topk_loss"},
        },
        {"network": "small_cnn", "loss": {"class_path": "topk_lightning.lightning.LogitAdjusted"}},
    ):
        trusted_options(options, arguments=["network", "loss"])


def test_what_a_package_runs_as_a_program_is_not_imported(tmp_path):
    """torch.utils.model_dump would read the words of the command line and end the process."""
    model = checkpoint(tmp_path / "model.ckpt", {"class_path": "torch.utils.model_dump.__main__.Net"})
    with pytest.raises(ValueError, match=r"^network must be a network in a checkpoint, got 'torch"):
        predict_topk(model, IMAGE)
    assert "torch.utils.model_dump.__main__" not in sys.modules


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        ("network", "os.system"),
        ("network", "subprocess.Popen"),
        ("network", "torch.load"),
        ("network", "torch.hub:load"),
        ("network", "torch.optim.SGD"),
        ("loss", "os.system"),
        ("loss", "torch.hub.load"),
        ("loss", "torch.load"),
        ("loss", "torch.optim.SGD"),
        ("optimizer", "os.system"),
        ("optimizer", "subprocess.Popen"),
        ("optimizer", "torch.hub.load_state_dict_from_url"),
        ("optimizer", "torch.nn.Linear"),
    ],
)
def test_a_class_path_of_another_kind_is_refused_before_anything_is_called(argument, path, tmp_path):
    mark = tmp_path / "mark"
    options = {"network": {"class_path": "small_cnn"}, "loss": None, "optimizer": "adamw"}
    options[argument] = {"class_path": path, "init_args": {"command": f"touch {mark}", "args": ["touch", str(mark)]}}
    with pytest.raises(ValueError, match=f"^{argument} must be "):
        TopKClassifier.load_from_checkpoint(checkpoint(tmp_path / "model.ckpt", **options))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("argument", "path"),
    [(argument, path) for argument in ("network", "loss") for path in ("os.system", "subprocess.Popen", "os.getcwd")]
    + [("loss", "os.rename"), ("optimizer", "os.system"), ("optimizer", "subprocess.call")]
    + [("optimizer", "subprocess.Popen"), ("optimizer", "torch.nn.Linear")],
)
def test_a_users_own_configuration_calls_nothing_of_another_kind(argument, path):
    with pytest.raises(ValueError, match=f"^{argument} must be the import path of an? "):
        import_class(argument, path)


class Payload:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize(
    "read",
    [
        predict_topk,
        lambda path, _: TopKClassifier.load_from_checkpoint(path),
        lambda path, _: TopKClassifier(SmallCNN(3, width=2), 3, weights=str(path)),
        lambda path, _: load_pretrained(SmallCNN(3, width=2), path, [0, 0, 1]),
        lambda path, _: read_scores(path),
    ],
    ids=["predict_topk", "load_from_checkpoint", "weights", "load_pretrained", "scores"],
)
def test_a_pickle_runs_nothing_wherever_it_is_read(read, tmp_path):
    path = tmp_path / "model.npy"
    torch.save({"state_dict": {}, "hyper_parameters": Payload(tmp_path / "mark")}, path)
    with pytest.raises(ValueError, match="must"):
        read(path, IMAGE)
    numpy.save(path, numpy.array([Payload(tmp_path / "mark")], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="must"):
        read(path, IMAGE)
    assert not (tmp_path / "mark").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Lightning's command line
@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("data: ", "--data must be the name or import path of a class that fits there"),
        ("model: ", "--model must be the name or import path of a class that fits there"),
        ("model: {class_path: TopKClassifier, init_args: {network: PAYLOAD}}", "network must be the import path of"),
        ("model: {class_path: TopKClassifier, init_args: {loss: PAYLOAD}}", "loss must be the import path of"),
        ("model: {class_path: TopKClassifier, init_args: {optimizer: PAYLOAD}}", "optimizer must be the import path of"),
        ("trainer: {callbacks: [{class_path: TemperatureAnnealing, init_args: {schedule: PAYLOAD}}]}", "schedule must be the"),
        ("trainer: {callbacks: [{class_path: CoarseToFine, init_args: {schedule: PAYLOAD}}]}", "schedule must be the"),
        ("trainer: {callbacks: [{class_path: TopKMonitor, init_args: {read: PAYLOAD}}]}", "read must be the import path"),
        ("trainer: {logger: PAYLOAD}", "--trainer.logger must be"),
    ],
)  # fmt: skip
def test_a_yaml_file_calls_nothing_of_another_kind(place, said, tmp_path, capsys):
    pytest.importorskip("torchvision")
    payload = f"{{class_path: os.system, init_args: {{command: mkdir {tmp_path / 'mark'}}}}}"
    (tmp_path / "evil.yaml").write_text(place.replace("PAYLOAD", payload) if "PAYLOAD" in place else place + payload)
    words = [] if place.startswith("data") else ["emoji"]
    assert main(["fit", *words, "--config", str(tmp_path / "evil.yaml"), "--out", str(tmp_path / "run")]) == 2
    assert not (tmp_path / "mark").exists()
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error


def test_a_schedule_may_be_a_class_of_its_kind_a_function_but_no_call():
    curve = {"class_path": "topk_lightning.TemperatureAnnealing", "init_args": {"schedule": {}}}
    for schedule in (
        {"class_path": "topk_lightning.schedules.Cosine", "init_args": {"start": 1}},
        {"class_path": "torch.sin"},
    ):
        check_class_paths({"callbacks": [{**curve, "init_args": {"schedule": schedule}}]})
    with pytest.raises(
        ValueError, match=r"^schedule must be a Schedule class, or a function alone, got 'torch.load' with"
    ):
        check_class_paths({**curve, "init_args": {"schedule": {"class_path": "torch.load", "init_args": {"f": "x"}}}})
    check_class_paths(
        {"class_path": "other.DDPStrategy", "init_args": {"timeout": {"class_path": "datetime.timedelta"}}}
    )


def test_no_tag_of_a_yaml_file_runs_anything(tmp_path, capsys):
    pytest.importorskip("torchvision")
    tag = f"!!python/object/apply:os.mkdir ['{tmp_path / 'mark'}']"
    (tmp_path / "evil.yaml").write_text(f"data:\n  class_path: EmojiDataModule\n  init_args: {{classes: {tag}}}\n")
    path = checkpoint(tmp_path / "model.ckpt", {"class_path": "small_cnn", "init_args": {"width": 2}})
    evil = str(tmp_path / "evil.yaml")
    for words in (["fit", "--config", evil], ["report", str(path), "--data", evil], ["fit", "emoji", "--config", evil]):
        assert main([*words, "--out", str(tmp_path / "out.html")]) in (1, 2)
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "given",
    [
        {"weights": "DEFAULT"},
        {"pretrained": True},
        {"checkpoint_path": "x.pth"},
        {"pretrained_cfg": {"url": "http://127.0.0.1:1/x.pth"}},
        {"anything": "https://127.0.0.1/x"},
    ],
)
def test_arguments_that_read_a_file_or_a_connection_are_dropped_on_rebuilding(given):
    network = {"class_path": "timm/resnet10t", "init_args": {**given, "num_classes": 3}}
    assert trusted_options({"network": network})["network"]["init_args"] == {"num_classes": 3}
    beside = {"class_path": "resnet18", **given}
    assert trusted_options({"network": beside})["network"].keys() - {"anything"} == {"class_path"}


def test_arguments_do_not_change_which_network_is_built():
    """timm would take "hf-hub:…" and ask a server for it."""
    pytest.importorskip("timm")
    named = {"class_path": "timm/resnet10t", "init_args": {"model_name": "hf-hub:nobody/nothing"}}
    assert build_network(trusted_options({"network": named})["network"], 3).default_cfg["architecture"] == "resnet10t"


def test_rebuilding_opens_no_connection(tmp_path):
    pytest.importorskip("torchvision")
    import torchvision

    network = torchvision.models.squeezenet1_1(num_classes=3)
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    named = {"class_path": "squeezenet1_1", "init_args": {"weights": "IMAGENET1K_V1"}}
    path = checkpoint(tmp_path / "model.ckpt", named, state)
    script = (
        "import socket, sys, torch\n"
        "def refuse(*_, **__): raise SystemExit('a connection was opened')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from topk_lightning import TrainedModel\n"
        "TrainedModel.load(sys.argv[1])"
    )
    environment = {**os.environ, "TORCH_HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(path)], env=environment, capture_output=True
    )
    assert run.returncode == 0, run.stderr[-2000:]


def test_a_module_that_is_not_there_is_named_with_the_places_searched(tmp_path):
    path = checkpoint(tmp_path / "model.ckpt", {"class_path": "nowhere.net.Net"})
    with pytest.raises(ValueError, match="importable") as raised:
        TrainedModel.load(path, trust=["nowhere"])
    assert str(raised.value).startswith(
        "network must be importable here, got 'nowhere.net.Net': there is no module 'nowhere' in "
    )
    assert str(raised.value).endswith(". Install it, start where it lies, or add its folder to PYTHONPATH.")
    assert sys.path[0] in str(raised.value) or os.getcwd() in str(raised.value)


def test_what_a_constructor_makes_of_foreign_arguments_is_one_sentence(tmp_path):
    path = checkpoint(tmp_path / "model.ckpt", {"class_path": "torch.nn.Linear", "init_args": {"width": 3}})
    said = r"^network must be given the arguments that it takes, got torch\.nn\.Linear \['width'\] \(missing .*'in_features'\)"
    with pytest.raises(TypeError, match=said):
        TrainedModel.load(path)


BUILT = []


class Shape(nn.Linear):
    """The base of constructors that a guess would call wrongly."""

    def __init__(self, *args):
        BUILT.append(type(self))
        super().__init__(4, 3)


class Positional(Shape):
    def __init__(self, *widths):
        assert widths, "EfficientNet-Lite0 fails so"
        super().__init__()


class Lost(Shape):
    def __init__(self, blocks):
        raise_if_none = blocks[0]  # TypeError for None
        super().__init__(raise_if_none)


class Failing(Shape):
    def __init__(self, stage=0):
        if not stage:
            raise KeyError(stage)
        super().__init__()


class Keyword(Shape):
    def __init__(self, **options):
        self_made = options["depth"]
        super().__init__(self_made)


class Index(Shape):
    def __init__(self, sizes=()):
        sizes[0]
        super().__init__()


class Broken(Shape):
    def __init__(self, depth):
        super().__init__()

    @property
    def depth(self):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "make",
    [lambda: Positional(3), lambda: Lost([1]), lambda: Failing(2), lambda: Keyword(depth=1), lambda: Index([1]),
     lambda: Broken(1)],
)  # fmt: skip
def test_a_class_is_never_built_on_a_guess(make):
    network = make()
    BUILT.clear()
    name = f"{type(network).__module__}.{type(network).__qualname__}"
    assert describe_network(network, 3) == {"unnamed": name}
    assert TopKClassifier(network, 3).hparams["network"] == {"unnamed": name}
    assert describe_callable(network) == {"unnamed": type(network).__qualname__}
    assert BUILT == []


def test_a_class_without_options_is_named():
    assert describe_network(Wide(3), 3) == {"class_path": f"{__name__}.Wide", "init_args": {}}
    assert isinstance(build_network({"class_path": f"{__name__}.Wide", "init_args": {}}, 3), Wide)


class Wide(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Flatten(), nn.Linear(12, num_classes))
