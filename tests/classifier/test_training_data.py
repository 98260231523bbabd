"""A checkpoint keeps which data its model was trained on, as plain data, and recognises its images."""

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from tests.classifier.small import Tiny, quiet, rows
from topk_lightning.classifier import TopKClassifier
from topk_lightning.data import EmojiDataModule, TrainingData, count_trained_on
from topk_lightning.networks.description import is_plain

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*number of training batches:UserWarning"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emoji")
    data = EmojiDataModule(image_size=16, classes=["food-fruit"], batch_size=35, seed=7)
    model = TopKClassifier({"class_path": "small_cnn", "init_args": {"width": 2}}, class_names=data.class_names)
    trainer = quiet(folder, limit_val_batches=0)
    trainer.fit(model, data)
    trainer.save_checkpoint(folder / "model.ckpt")
    return folder / "model.ckpt", data, model


def test_options_are_plain_and_say_class_arguments_and_seed(trained):
    path, _, _ = trained
    kept = TrainingData.of(torch.load(path, weights_only=True))
    assert is_plain(kept.options)
    assert kept.options["class_path"] == "topk_lightning.data.EmojiDataModule"
    arguments = {name: kept.options["init_args"][name] for name in ("classes", "image_size", "seed")}
    assert arguments == {"classes": ["food-fruit"], "image_size": 16, "seed": 7}


def test_the_images_of_the_training_are_recognised_and_no_others(trained):
    path, data, _ = trained
    kept = TrainingData.of(torch.load(path, weights_only=True))
    assert count_trained_on(data.digests("train"), kept.digests) == len(data.targets("train"))
    assert count_trained_on(data.digests("test"), kept.digests) == 0


@pytest.mark.filterwarnings("ignore:The data has the model's classes in another order:UserWarning")
def test_the_training_images_of_each_class_of_the_model_are_kept_in_its_order(trained, tmp_path):
    path, data, _ = trained
    assert TrainingData.of(torch.load(path, weights_only=True)).class_counts == data.class_counts("train")
    turned = TopKClassifier({"class_path": "small_cnn", "init_args": {"width": 2}}, class_names=data.class_names[::-1])
    few = EmojiDataModule(image_size=16, classes=["food-fruit"], batch_size=35, seed=7)
    few.class_counts = lambda: list(range(few.num_classes))  # another number for each
    quiet(tmp_path, limit_val_batches=0).fit(turned, few)
    assert turned.training_data.class_counts == list(range(few.num_classes))[::-1]


def test_a_second_training_adds_its_images(trained, tmp_path):
    path, first, _ = trained
    model = TopKClassifier.load_from_checkpoint(path)
    second = EmojiDataModule(image_size=24, classes=["food-fruit"], batch_size=35)  # other pixels of the same images
    quiet(tmp_path, limit_val_batches=0).fit(model, second)
    both = torch.cat([first.digests("train"), second.digests("train")])
    assert model.training_data.digests.tolist() == both.unique().tolist()
    assert model.training_data.options["init_args"]["image_size"] == 24


class Elsewhere(pl.LightningDataModule):
    """A data module of somebody's own, one of whose attributes is not to be had."""

    def __init__(self, root, size=4, order=None):
        super().__init__()
        self.root, self.size = root, size

    @property
    def order(self):
        raise RuntimeError("not set up")

    def train_dataloader(self):
        return DataLoader(rows(8, 3), batch_size=4)


def test_a_data_module_of_ones_own_is_kept_as_far_as_it_is_plain(tmp_path):
    model = TopKClassifier(Tiny(3), 3)
    quiet(tmp_path).fit(model, datamodule=Elsewhere(tmp_path))
    assert model.training_data.options == {
        "class_path": "tests.classifier.test_training_data.Elsewhere",
        "init_args": {"root": str(tmp_path), "size": 4},
    }
    assert len(model.training_data.digests) == 0
    quiet(tmp_path).fit(model, DataLoader(rows(8, 3), batch_size=4))
    assert (model.training_data.options, model.training_data.class_counts) == ({}, None)


@pytest.mark.parametrize(
    "kept", [None, 3, [], {"options": 3, "class_names": [1], "class_counts": ["1"], "digests": torch.zeros(2)}]
)
def test_what_stands_there_by_mistake_counts_as_nothing(kept):
    read = TrainingData.of({"training_data": kept})
    assert (read.options, read.class_names, read.class_counts, len(read.digests)) == ({}, None, None, 0)
