"""What a checkpoint of TopKClassifier holds, and what is built from it alone."""

import functools

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from topk_lightning.classifier import TopKClassifier
from topk_lightning.networks import SmallCNN
from topk_lightning.networks.description import describe_callable, describe_network, is_plain
from topk_lightning.networks.specification import build_network, torchvision_names

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*number of training batches:UserWarning"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
]


class Named(nn.Module):
    """A network that keeps its arguments, so that it can be described."""

    def __init__(self, num_classes: int, hidden: int = 8, slope: float = 0.01) -> None:
        super().__init__()
        self.num_classes, self.hidden, self.slope = num_classes, hidden, slope
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, hidden), nn.Linear(hidden, num_classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.leaky_relu(self.layers(images), self.slope)


class Forgetful(Named):
    """A network that keeps an argument under another name."""

    def __init__(self, num_classes: int, negative: float = 0.01) -> None:
        super().__init__(num_classes, slope=negative)


def saved(tmp_path, classifier):
    trainer = pl.Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    data = TensorDataset(torch.rand(4, 3, 16, 16), torch.arange(4) % classifier.num_classes)
    trainer.fit(classifier, DataLoader(data, batch_size=4))
    path = tmp_path / "model.ckpt"
    trainer.save_checkpoint(path)
    return path


def same_outputs(one, other):
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(one.eval()(images), other.eval()(images))


def test_it_holds_plain_data_and_rebuilds_the_module(tmp_path):
    classifier = TopKClassifier(
        SmallCNN(3, width=4),
        class_names={"a": 0, "b": 1, "c": 2},
        loss=nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]), label_smoothing=0.1),
        k=[1, 2],
        lr=0.01,
        optimizer="sgd",
        warmup_steps=2,
        preprocessing={"mean": [0.5]},
    )
    path = saved(tmp_path, classifier)
    checkpoint = torch.load(path, weights_only=True)
    assert is_plain(checkpoint["hyper_parameters"])
    assert checkpoint["hyper_parameters"]["network"] == {
        "class_path": "small_cnn",
        "init_args": {"num_classes": 3, "in_channels": 3, "width": 4},
    }
    loaded = TopKClassifier.load_from_checkpoint(path)
    same_outputs(classifier, loaded)
    assert dict(loaded.hparams) == dict(classifier.hparams)
    assert loaded.class_names == ["a", "b", "c"]
    assert loaded.preprocessing == {"mean": [0.5]}
    assert loaded.k == (1, 2)
    assert loaded.loss.label_smoothing == 0.1
    assert loaded.loss.weight.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "network",
    [
        "small_cnn",
        {"class_path": "small_cnn", "init_args": {"width": 2}},
        "tests.classifier.test_checkpoint.Named",
        {"class_path": "tests.classifier.test_checkpoint.Forgetful", "init_args": {"negative": 0.5}},
        Named(3, hidden=5),
    ],
)
def test_the_network_is_rebuilt_from_its_specification(tmp_path, network):
    classifier = TopKClassifier(network, 3)
    loaded = TopKClassifier.load_from_checkpoint(saved(tmp_path, classifier), trust=["tests"])
    same_outputs(classifier, loaded)


@pytest.mark.parametrize("network", [Forgetful(3, negative=0.5), nn.Sequential(Named(3))])
def test_a_network_that_cannot_be_named_is_asked_for(tmp_path, network):
    classifier = TopKClassifier(network, 3)
    path = saved(tmp_path, classifier)
    kind = f"{type(network).__module__}.{type(network).__qualname__}"
    with pytest.raises(ValueError, match="cannot be rebuilt by name") as raised:
        TopKClassifier.load_from_checkpoint(path)
    assert str(raised.value) == (
        "network must be given for this checkpoint, got none. "
        f"Its network ({kind}) cannot be rebuilt by name: pass one of the same structure as network=."
    )
    same_outputs(classifier, TopKClassifier.load_from_checkpoint(path, network=network))


def test_a_loss_that_cannot_be_named_is_asked_for_when_it_is_needed(tmp_path):
    class Local(nn.CrossEntropyLoss):
        pass

    classifier = TopKClassifier("small_cnn", 3, loss=Local(weight=torch.ones(3)))
    path = saved(tmp_path, classifier)
    loaded = TopKClassifier.load_from_checkpoint(path)
    same_outputs(classifier, loaded)
    with pytest.raises(ValueError, match="loss") as raised:
        loaded.training_step((torch.rand(2, 3, 16, 16), torch.tensor([0, 1])), 0)
    assert str(raised.value) == (
        "loss must be given again, got a checkpoint of "
        "test_a_loss_that_cannot_be_named_is_asked_for_when_it_is_needed.<locals>.Local, which cannot be rebuilt by "
        "name. Pass loss= to load_from_checkpoint."
    )
    again = TopKClassifier.load_from_checkpoint(path, loss=Local(weight=torch.zeros(3)))
    assert again.loss.weight.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("given", "described"),
    [
        (nn.functional.cross_entropy, {"class_path": "torch.nn.functional.cross_entropy"}),
        (torch.optim.SGD, {"class_path": "torch.optim.sgd.SGD"}),
        (
            functools.partial(torch.optim.SGD, lr=0.1, momentum=0.5),
            {"class_path": "torch.optim.sgd.SGD", "init_args": {"lr": 0.1, "momentum": 0.5}},
        ),
        (lambda logits, target: logits.sum(), {"unnamed": "<lambda>"}),
        (functools.partial(torch.optim.SGD, lr=torch.tensor(0.1)), {"unnamed": "partial"}),
    ],
)
def test_losses_and_optimizers_are_described_by_their_import_path(given, described):
    assert describe_callable(given) == described


def test_torchvision_networks_are_recognised_by_their_structure():
    torchvision = pytest.importorskip("torchvision")
    network = torchvision.models.squeezenet1_1()
    classifier = TopKClassifier(network, 7)
    assert classifier.hparams["network"] == {"class_path": "squeezenet1_1"}
    assert classifier(torch.rand(1, 3, 64, 64)).shape == (1, 7)
    with torch.device("meta"):
        assert describe_network(torchvision.models.resnet34(num_classes=5), 5) == {"class_path": "resnet34"}
        other = torchvision.models.mobilenet_v3_small(num_classes=5, dropout=0.7)
        assert "unnamed" in describe_network(other, 5)


def test_timm_networks_know_their_names():
    pytest.importorskip("timm")
    import timm

    with torch.device("meta"):
        network = timm.create_model("resnet10t")
    assert TopKClassifier(network, 4).hparams["network"] == {"class_path": "timm/resnet10t"}
    with torch.device("meta"):
        assert build_network("timm/resnet10t", 4).get_classifier().out_features == 4


def test_torchvision_names_are_those_of_classifiers_with_one_output():
    pytest.importorskip("torchvision")
    names = torchvision_names()
    assert {"resnet18", "vit_b_16", "squeezenet1_0"} <= set(names)
    assert not {"inception_v3", "googlenet", "fcn_resnet50"} & set(names)
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        build_network("googlenet", 4)
    assert str(raised.value) == (
        "network must return logits alone, got 'googlenet', which returns several outputs in training. "
        "Use 'timm/inception_v3', which returns one."
    )


@pytest.mark.parametrize(
    "path", ["os.system", "torch.nn.functional.relu", "no.such.Module", "torch.nn.Nothing", ".", "a..b"]
)
def test_a_class_path_builds_modules_only(path):
    wanted = r"^network must be (the import path of an nn\.Module class|importable here), got "
    with pytest.raises(ValueError, match=wanted):
        build_network(path, 3)


def test_a_subclass_adds_arguments_of_its_own(tmp_path):
    class Mine(TopKClassifier):
        def __init__(self, extra: int = 1, **options) -> None:
            super().__init__(**options)
            self.extra = extra
            self.save_hyperparameters({"extra": extra})

    classifier = Mine(extra=5, network="small_cnn", num_classes=3)
    loaded = Mine.load_from_checkpoint(saved(tmp_path, classifier))
    assert loaded.extra == 5
    assert loaded.num_classes == 3
