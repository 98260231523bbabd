"""Which class is which: names of data modules and image folders decide, in every stage, and what they cannot decide is told."""

import contextlib
import warnings

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset

from tests.classifier.small import BOTH, Tiny, quiet, rows
from topk_lightning.classifier import TopKClassifier
from topk_lightning.data import Preprocessing
from topk_lightning.losses import LogitAdjustedCrossEntropyLoss

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*number of training batches:UserWarning"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
]

LEVELS = {"ant": 10, "bee": 100, "cat": 200, "dog": 250, "n01": 10, "n02": 100, "n03": 200}
PART = "The data has 2 of the model's 3 classes; they are recognised by name"


class BrightnessIsTheClass(nn.Module):
    """Right by construction on every ant (dark), bee and cat (bright)."""

    def __init__(self, num_classes=3):
        super().__init__()
        self.num_classes = num_classes
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images):
        centres = torch.tensor([10, 100, 200]) / 255
        return -(images.mean((1, 2, 3)).unsqueeze(1) - centres).abs() * 100 * self.scale


def folder(path, names, images=3):
    datasets = pytest.importorskip("torchvision.datasets")
    transforms = pytest.importorskip("torchvision.transforms")
    for name in names:
        (path / name).mkdir(parents=True)
        for number in range(images):
            Image.new("RGB", (8, 8), (LEVELS[name],) * 3).save(path / name / f"{number}.png")
    return datasets.ImageFolder(path, transforms.ToTensor())


def classifier(names=("ant", "bee", "cat"), kind=TopKClassifier):
    return kind(BrightnessIsTheClass(), 3, None if names is None else list(names), k=1)


@pytest.mark.parametrize(("package", "kind"), BOTH, ids=["pytorch_lightning", "lightning.pytorch"])
@pytest.mark.parametrize("around", [lambda d: d, lambda d: Subset(d, [0, 5, 4]), lambda d: ConcatDataset([d, d])])
def test_a_folder_of_some_of_the_classes_is_measured_by_name(tmp_path, package, kind, around):
    loader = DataLoader(around(folder(tmp_path, ["bee", "cat"])), batch_size=2)
    model = classifier(kind=kind)
    trainer = quiet(tmp_path, package)
    with pytest.warns(UserWarning, match=PART) as told:
        (tested,) = trainer.test(model, loader, verbose=False)
    assert len([one for one in told if PART in str(one.message)]) == 1
    assert tested["test/top1"] == 1.0
    (validated,) = trainer.validate(model, loader, verbose=False)
    assert validated["val/top1"] == 1.0
    trainer.fit(model, loader, loader)
    assert trainer.callback_metrics["train/top1"] == 1.0


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_a_class_that_the_model_does_not_know_is_named(tmp_path, stage):
    loader = DataLoader(folder(tmp_path, ["bee", "cat", "dog"]), batch_size=2)
    with pytest.raises(ValueError, match="dog") as raised:
        getattr(quiet(tmp_path), stage)(classifier(), loader)
    assert str(raised.value) == (
        "data must hold classes of the model only, got 'dog'. The model's classes are 'ant', 'bee', 'cat'."
    )


def test_each_of_several_loaders_has_classes_of_its_own(tmp_path):
    loaders = {
        "all": DataLoader(folder(tmp_path / "all", ["ant", "bee", "cat"]), batch_size=2),
        "some": DataLoader(folder(tmp_path / "some", ["bee", "cat"]), batch_size=2),
    }
    with pytest.warns(UserWarning, match=PART):
        first, second = quiet(tmp_path).test(classifier(), loaders, verbose=False)
    assert first["test/top1/all"] == second["test/top1/some"] == 1.0


def test_a_model_without_names_takes_those_of_the_folder_it_is_trained_on_and_keeps_them(tmp_path):
    model = classifier(None)
    quiet(tmp_path).fit(model, DataLoader(folder(tmp_path / "train", ["ant", "bee", "cat"]), batch_size=9))
    assert model.class_names == ["ant", "bee", "cat"]
    loaded = TopKClassifier.load_from_checkpoint(model.save(tmp_path / "model.ckpt"), network=BrightnessIsTheClass())
    with pytest.warns(UserWarning, match=PART):
        (tested,) = quiet(tmp_path).test(loaded, DataLoader(folder(tmp_path / "test", ["bee", "cat"])), verbose=False)
    assert tested["test/top1"] == 1.0


def test_a_model_without_names_cannot_tell_which_classes_are_missing(tmp_path):
    loader = DataLoader(folder(tmp_path, ["bee", "cat"]))
    with pytest.raises(ValueError, match=r"^num_classes must be 2, the number of classes of the data, got 3\.$"):
        quiet(tmp_path).test(classifier(None), loader)


def test_a_checkpoint_knows_the_folders_of_its_training_whatever_people_call_the_classes(tmp_path):
    model = classifier(["Ant", "Bee", "Cat"])
    training = DataLoader(folder(tmp_path / "train", ["n01", "n02", "n03"]), batch_size=9)
    quiet(tmp_path).fit(model, training, training)
    loaded = TopKClassifier.load_from_checkpoint(model.save(tmp_path / "model.ckpt"), network=BrightnessIsTheClass())
    (tested,) = quiet(tmp_path).test(loaded, training, verbose=False)
    assert tested["test/top1"] == 1.0
    with pytest.warns(UserWarning, match=PART):
        (tested,) = quiet(tmp_path).test(loaded, DataLoader(folder(tmp_path / "some", ["n02", "n03"])), verbose=False)
    assert tested["test/top1"] == 1.0
    assert loaded.class_names == ["Ant", "Bee", "Cat"]


def test_a_test_on_classes_of_other_names_says_that_indices_decide(tmp_path):
    loader = DataLoader(folder(tmp_path, ["n01", "n02", "n03"]))
    with pytest.warns(UserWarning, match=r"^The model knows none of the data's class names \('n01', …\)"):
        (tested,) = quiet(tmp_path).test(classifier(), loader, verbose=False)
    assert tested["test/top1"] == 1.0


class Bees(pl.LightningDataModule):
    class_names = ("cat", "bee")

    def __init__(self):
        super().__init__()
        images = torch.stack([torch.full((3, 8, 8), LEVELS[name] / 255) for name in ("bee", "cat", "cat")])
        self.data = TensorDataset(images, torch.tensor([1, 0, 0]))

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=3)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_the_names_of_a_data_module_are_matched_like_those_of_a_folder(tmp_path, stage):
    trainer = quiet(tmp_path)
    with pytest.warns(UserWarning, match=PART):
        getattr(trainer, stage)(classifier(), datamodule=Bees())
    assert {value.item() for name, value in trainer.callback_metrics.items() if "top1" in name} == {1.0}


def test_a_prediction_needs_no_classes_of_the_data(tmp_path):
    (batch,) = quiet(tmp_path).predict(classifier(), datamodule=Bees())
    assert [row[0].label for row in batch] == ["bee", "cat", "cat"]


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
def test_a_network_that_ends_in_a_softmax_is_told_once(tmp_path, stage):
    model = TopKClassifier(nn.Sequential(Tiny(10), nn.Softmax(1)), 10)
    loader = DataLoader(rows(12), batch_size=4)
    arguments = (loader, loader) if stage == "fit" else (loader,)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(quiet(tmp_path, max_epochs=2), stage)(model, *arguments)
    told = [str(one.message) for one in caught if "probabilities" in str(one.message)]
    assert told == [
        "network must return logits, of which probabilities are made, got rows of probabilities. "
        "Remove the softmax at its end: what is shown is too flat."
    ]


class Settles(nn.Module):
    """Returns scores first and, later on, what happen to be probabilities."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, images):
        self.calls += 1
        return (images[:, :3] * 3).softmax(1) if self.calls > 1 else images[:, :3]


def test_later_outputs_are_not_looked_at(tmp_path):
    model = TopKClassifier(Settles(), 3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quiet(tmp_path).validate(model, DataLoader(rows(12, 3), batch_size=4), verbose=False)
    assert model.network.calls == 3
    assert not [one for one in caught if "probabilities" in str(one.message)]


def test_a_step_by_hand_needs_no_trainer_to_tell_of_probabilities():
    model = TopKClassifier(nn.Sequential(Tiny(10), nn.Softmax(1)), 10)
    with pytest.warns(UserWarning, match="^network must return logits"):
        model.predict_step(rows(4).tensors, 0)


def test_what_a_network_says_of_its_images_is_what_is_said():
    with pytest.raises(ValueError, match="channels") as raised:
        TopKClassifier("small_cnn", 3)(torch.zeros(2, 1, 16, 16))
    assert raised.value.__cause__ is None
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    with pytest.raises(ValueError, match="channels") as raised:
        TopKClassifier(other, 3)(torch.zeros(2, 1, 16, 16))
    assert isinstance(raised.value.__cause__, RuntimeError)


def test_images_with_channels_last_name_the_way_to_turn_them(tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    loader = DataLoader(TensorDataset(torch.rand(2, 16, 16, 3), torch.tensor([0, 1])), batch_size=2)
    with pytest.raises(ValueError, match="permute") as raised:
        quiet(tmp_path).test(TopKClassifier(network, 3), loader)
    assert str(raised.value) == (
        "images must have shape (N, channels, H, W), got (2, 16, 16, 3). "
        "Put the channels second with images.permute(0, 3, 1, 2)."
    )


def test_other_failures_of_a_network_stay_as_they_are():
    class Failing(nn.Module):
        def forward(self, images):
            return images @ torch.zeros(5, 3)

    with pytest.raises(RuntimeError, match=r"must match|cannot be multiplied|Expected size"):
        TopKClassifier(Failing(), 3)(torch.zeros(2, 3, 4, 4))


@pytest.mark.parametrize("how", ["positional", "keyword", "validate"])
@pytest.mark.parametrize(("package", "kind"), BOTH, ids=["pytorch_lightning", "lightning.pytorch"])
def test_a_data_module_of_the_other_package_is_told_from_a_loader(tmp_path, package, kind, how):
    other = BOTH[1 - BOTH.index((package, kind))][0]
    data = type("Mine", (other.LightningDataModule,), {})()
    trainer = quiet(tmp_path, package)
    run = {
        "positional": lambda: trainer.fit(classifier(kind=kind), data),
        "keyword": lambda: trainer.fit(classifier(kind=kind), datamodule=data),
        "validate": lambda: trainer.validate(classifier(kind=kind), data),
    }[how]
    with pytest.raises(TypeError, match="datamodule") as raised:
        run()
    assert str(raised.value) == (
        f"datamodule must be a data module of {package.__name__}, as the trainer is, got one of {other.__name__}. "
        f"Derive Mine from {package.__name__}.LightningDataModule."
    )


class Module(pl.LightningDataModule):
    """Says all that a data module may say, and keeps what it is told."""

    class_names = ("ant", "bee", "cat")

    def __init__(self, size=8):
        super().__init__()
        self.preprocessing, self.asked = Preprocessing(size, (0.5,) * 3, (0.25,) * 3), []

    def class_counts(self):
        return [6, 3, 1]

    def prepare_for(self, published):
        self.asked.append(published)

    def loader(self):
        images = torch.tensor([10.0, 100.0, 200.0]).div(255).view(3, 1, 1, 1).expand(3, 3, 8, 8)
        return DataLoader(TensorDataset(images, torch.arange(3)), batch_size=3)

    train_dataloader = val_dataloader = test_dataloader = predict_dataloader = loader


STAGES = ("fit", "validate", "test", "predict")


@pytest.mark.filterwarnings("ignore:The data has the model's classes in another order")
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("names", [None, ("cat", "bee", "ant")])
def test_a_model_takes_of_its_data_what_it_lacks_and_in_fit_their_preprocessing(tmp_path, stage, names):
    model, data = classifier(names), Module(size=9)
    getattr(quiet(tmp_path), stage)(model, datamodule=data)
    assert model.class_names == list(names or data.class_names)
    assert model.preprocessing == data.preprocessing.to_dict()
    assert model.hparams["class_names"] == model.class_names
    assert model.hparams["preprocessing"] == model.preprocessing
    # Of another one only a training takes it: the weights belong to it then.
    other = Module(size=7)
    getattr(quiet(tmp_path), stage)(model, datamodule=other)
    assert model.preprocessing == (other if stage == "fit" else data).preprocessing.to_dict()
    assert data.asked == other.asked == []  # no published weights


@pytest.mark.filterwarnings("ignore:The data has the model's classes in another order")
def test_only_a_training_learns_the_class_counts_in_the_models_order(tmp_path):
    for stage in STAGES:
        model = TopKClassifier(
            BrightnessIsTheClass(), 3, ["cat", "bee", "ant"], loss=LogitAdjustedCrossEntropyLoss(), k=1
        )
        if stage == "fit":
            quiet(tmp_path).fit(model, datamodule=Module())
            assert model.training_data.class_counts == [1, 3, 6]
            assert list(model.loss.class_counts) == [1, 3, 6]
        else:
            with contextlib.suppress(ValueError):  # the loss cannot be measured without them
                getattr(quiet(tmp_path), stage)(model, datamodule=Module())
            assert model.training_data.class_counts is None
            assert model.loss.class_counts is None


def test_counts_of_classes_without_names_are_taken_as_they_come(tmp_path):
    data = Module()
    data.class_names = None
    model = TopKClassifier(BrightnessIsTheClass(), 3, loss=LogitAdjustedCrossEntropyLoss(), k=1)
    quiet(tmp_path).fit(model, datamodule=data)
    assert model.training_data.class_counts == [6, 3, 1]


def test_data_are_told_of_the_published_preprocessing_before_they_are_loaded(tmp_path):
    model, data = classifier(), Module()
    model.published_preprocessing = Preprocessing(8, (0.1,) * 3, (0.2,) * 3).to_dict()
    quiet(tmp_path).fit(model, datamodule=data)
    assert data.asked == [model.published_preprocessing]


def test_a_network_that_takes_no_such_images_is_told_before_the_data_are_loaded(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    data = Module()
    data.image_size, data.setup = 16, lambda stage: pytest.fail("the data are looked at")
    network = torchvision.models.VisionTransformer(32, 16, 1, 1, 8, 8, num_classes=3)
    with pytest.raises(ValueError, match=r"^image size must be one that this network takes, such as 32, got 16\.$"):
        quiet(tmp_path).fit(TopKClassifier(network, 3), datamodule=data)


def test_outputs_are_looked_at_anew_in_each_run(tmp_path):
    model, data = classifier(), Module()
    quiet(tmp_path).test(model, datamodule=data, verbose=False)
    model.network.scale.data.fill_(0.01)
    model.network = nn.Sequential(model.network, nn.Softmax(1))
    for stage in ("test", "predict"):
        model._told_of_probabilities = False
        with pytest.warns(UserWarning, match="probabilities"):
            getattr(quiet(tmp_path), stage)(model, datamodule=data)
