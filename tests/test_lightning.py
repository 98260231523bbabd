"""The module for lightning.pytorch: one definition, two bases, one kind of checkpoint."""

import inspect
import subprocess
import sys

import pytest
import pytorch_lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

import topk_lightning.classifier
import topk_lightning.data
from topk_lightning.prediction import predict_topk

lightning = pytest.importorskip("lightning.pytorch")

from topk_lightning.lightning import EmojiDataModule, ImageFolderDataModule, TopKClassifier  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*number of training batches:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
]

PAIRS = [
    (lightning, TopKClassifier, topk_lightning.classifier.TopKClassifier),
    (pytorch_lightning, topk_lightning.classifier.TopKClassifier, TopKClassifier),
]


def loader():
    return DataLoader(TensorDataset(torch.rand(6, 3, 16, 16), torch.arange(6) % 4), batch_size=3)


def test_it_exports_all_public_names():
    names = topk_lightning.lightning.__all__
    assert set(names) >= set(topk_lightning.__all__)
    assert all(getattr(topk_lightning.lightning, name) is not None for name in names)


@pytest.mark.parametrize(("package", "own", "other"), PAIRS, ids=["lightning", "pytorch_lightning"])
def test_each_trains_in_its_own_trainer_and_the_other_reads_its_checkpoint(tmp_path, package, own, other):
    trainer = package.Trainer(
        default_root_dir=tmp_path, accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    classifier = own("small_cnn", class_names=["a", "b", "c", "d"])
    trainer.fit(classifier, loader(), loader())
    assert {"val/loss", "val/top1", "val/top3"} <= set(trainer.callback_metrics)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = other.load_from_checkpoint(tmp_path / "model.ckpt")
    assert not isinstance(loaded, own)
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(loaded.eval()(images), classifier.eval()(images))
    assert dict(loaded.hparams) == dict(classifier.hparams)


@pytest.mark.parametrize(
    ("own", "twin"),
    [
        (TopKClassifier, topk_lightning.classifier.TopKClassifier),
        (EmojiDataModule, topk_lightning.data.EmojiDataModule),
        (ImageFolderDataModule, topk_lightning.data.ImageFolderDataModule),
    ],
)
def test_each_class_shows_the_arguments_of_its_twin(own, twin):
    assert inspect.signature(own) == inspect.signature(twin)


def test_every_public_name_is_there_and_the_same_where_lightning_has_no_class_of_its_own():
    own = {"EmojiDataModule", "ImageFolderDataModule", "TopKClassifier"}
    assert set(topk_lightning.__all__) <= set(topk_lightning.lightning.__all__) == set(dir(topk_lightning.lightning))
    for name in topk_lightning.__all__:
        here, there = getattr(topk_lightning.lightning, name), getattr(topk_lightning, name)
        assert (here is there) == (name not in own), name
    with pytest.raises(AttributeError, match=r"^module 'topk_lightning.lightning' has no attribute 'TopK'$"):
        topk_lightning.lightning.TopK  # noqa: B018


def test_the_data_module_trains_the_classifier_and_gives_it_names_and_preprocessing(tmp_path):
    data = EmojiDataModule(image_size=16, batch_size=16, classes=["food-fruit"])
    classifier = TopKClassifier({"class_path": "small_cnn", "init_args": {"width": 4}}, num_classes=data.num_classes)
    trainer = lightning.Trainer(
        default_root_dir=tmp_path, accelerator="cpu", max_epochs=1, logger=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(classifier, data)
    (tested,) = trainer.test(classifier, data, verbose=False)
    assert set(tested) == {"test/loss", "test/top1", "test/top3", "test/top5"}
    checkpoint = torch.load(trainer.checkpoint_callback.best_model_path, weights_only=True)
    assert checkpoint["hyper_parameters"]["class_names"] == data.class_names
    assert checkpoint["hyper_parameters"]["preprocessing"] == data.preprocessing.to_dict()
    (first, *_) = predict_topk(trainer.checkpoint_callback.best_model_path, data.val_dataloader().dataset[0][0], k=14)
    assert first.label in data.class_names


def test_without_lightning_the_rest_works_and_this_module_says_what_to_do():
    code = (
        "import sys; sys.modules['lightning'] = None\n"
        "import topk_lightning.classifier\n"
        "try:\n"
        "    import topk_lightning.lightning\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        "topk_lightning.lightning must be imported where the package lightning is installed, got an environment "
        'without it. Run pip install "topk-lightning[lightning]", or import the same names from topk_lightning.'
    )
