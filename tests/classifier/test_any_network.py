"""Networks that are compiled, that normalise over the batch, that come from Hugging Face; a file without a trainer."""

import copy
import functools
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from tests.classifier.small import BOTH, Tiny, quiet, rows
from topk_lightning.classifier import TopKClassifier
from topk_lightning.data import Preprocessing
from topk_lightning.networks import SmallCNN
from topk_lightning.prediction import predict_topk

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*number of training batches:UserWarning"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
]

compiled = functools.partial(torch.compile, backend="eager")
IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


PREPROCESSING = Preprocessing(image_size=8, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2)).to_dict()


def of_image_size(n):
    return DataLoader(TensorDataset(torch.rand(n, 3, 16, 16), torch.arange(n) % 3), batch_size=4)


def same(one, other):
    with torch.no_grad():
        torch.testing.assert_close(one.eval()(IMAGES), other.eval()(IMAGES))
    one.train()
    other.train()


@pytest.mark.parametrize("trained_compiled", [True, False])
@pytest.mark.parametrize("used_compiled", [True, False])
def test_a_checkpoint_says_nothing_of_compiling(tmp_path, trained_compiled, used_compiled):
    network = SmallCNN(3, width=2)
    classifier = TopKClassifier(compiled(network) if trained_compiled else network, 3)
    trainer = quiet(tmp_path)
    trainer.fit(classifier, of_image_size(4))
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    saved = torch.load(tmp_path / "model.ckpt", weights_only=True)
    assert saved["hyper_parameters"]["network"]["class_path"] == "small_cnn"
    assert not [name for name in saved["state_dict"] if "_orig_mod" in name]
    other = SmallCNN(3, width=2)
    loaded = TopKClassifier.load_from_checkpoint(
        tmp_path / "model.ckpt", network=compiled(other) if used_compiled else other
    )
    same(classifier, loaded)
    again = quiet(tmp_path, max_epochs=2)  # and training goes on
    again.fit(loaded, of_image_size(4), ckpt_path=tmp_path / "model.ckpt")
    assert again.current_epoch == 2
    best = predict_topk(tmp_path / "model.ckpt", IMAGES, k=1)
    assert [row[0].index for row in best] == classifier.eval()(IMAGES).argmax(1).tolist()


def test_a_part_of_the_network_may_be_compiled(tmp_path):
    network = SmallCNN(3, width=2)
    network.head = compiled(network.head)
    classifier = TopKClassifier(network, 3)
    classifier.save(tmp_path / "model.ckpt")
    same(classifier, TopKClassifier.load_from_checkpoint(tmp_path / "model.ckpt", network=SmallCNN(3, width=2)))


@pytest.mark.parametrize(("package", "kind"), BOTH, ids=["pytorch_lightning", "lightning.pytorch"])
def test_a_trained_network_is_saved_without_a_trainer(tmp_path, package, kind):
    classifier = kind(SmallCNN(3, width=2), class_names=["a", "b", "c"], preprocessing=PREPROCESSING)
    path = classifier.save(tmp_path / "folder" / "model.ckpt")
    assert path == tmp_path / "folder" / "model.ckpt"
    for reader in (kind, TopKClassifier):
        loaded = reader.load_from_checkpoint(path)
        same(classifier, loaded)
        assert dict(loaded.hparams) == dict(classifier.hparams)
    (best, *_) = predict_topk(path, IMAGES[0], k=1)
    assert best.label == "abc"[classifier.eval()(IMAGES)[0].argmax()]
    trainer = quiet(tmp_path, package)
    (before,) = trainer.test(classifier, of_image_size(8), verbose=False)
    (after,) = trainer.test(classifier, of_image_size(8), ckpt_path=path, verbose=False)
    assert after.keys() == before.keys()


class Normalised(nn.Module):
    """One value a channel and image, as behind a global pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


@pytest.mark.parametrize("wrap", [lambda network: network, compiled], ids=["eager", "compiled"])
def test_a_last_batch_of_one_image_is_normalised_by_the_running_statistics(tmp_path, wrap):
    network = Normalised()
    classifier = TopKClassifier(wrap(network), 10, optimizer=functools.partial(torch.optim.SGD, lr=1e-30))
    trainer = quiet(tmp_path)
    data = rows(9)
    trainer.fit(classifier, DataLoader(data, batch_size=4))
    assert network.layers[1].num_batches_tracked == 2
    assert network.layers[1].training
    left = copy.deepcopy(network.layers[1].state_dict())
    # Two batches of four with their own statistics, then the ninth image with those that these two left.
    images, target = data.tensors
    parts = [network(part) for part in images[:8].split(4)]
    network.layers[1].load_state_dict(left)
    logits = torch.cat([*parts, network.eval()(images[8:])])
    assert trainer.callback_metrics["train/loss"].item() == pytest.approx(
        nn.functional.cross_entropy(logits, target).item()
    )


def test_batches_of_one_image_keep_their_own_statistics_where_these_exist(tmp_path):
    network = SmallCNN(3, width=2)  # its maps have many values a channel
    trainer = quiet(tmp_path)
    data = TensorDataset(torch.rand(3, 3, 16, 16), torch.arange(3))
    trainer.fit(TopKClassifier(network, 3), DataLoader(data, batch_size=1))
    assert network.features[0][1].num_batches_tracked == 3


@dataclass
class Output:
    logits: torch.Tensor


class Foreign(Tiny):
    """Returns an object that holds the logits, as networks of Hugging Face do."""

    def forward(self, x):
        return Output(super().forward(x))


class Dicts(Dataset):
    def __init__(self, keys, data):
        self.keys, self.data = keys, data

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return dict(zip(self.keys, self.data[index], strict=True))


@pytest.mark.parametrize("keys", [("pixel_values", "labels"), ("image", "label"), ("images", "target")])
def test_batches_and_outputs_of_hugging_face(tmp_path, keys):
    data = rows(12)
    plain = TopKClassifier(Tiny(10), 10)
    network = Foreign(10)
    network.load_state_dict(plain.network.state_dict())
    foreign = TopKClassifier(network, 10)
    loader = DataLoader(Dicts(keys, data), batch_size=5)
    (expected,) = quiet(tmp_path).validate(plain, DataLoader(data, batch_size=5), verbose=False)
    trainer = quiet(tmp_path)
    (logged,) = trainer.validate(foreign, loader, verbose=False)
    assert logged == expected
    assert trainer.predict(foreign, loader) == trainer.predict(plain, DataLoader(data, batch_size=5))
    trainer.fit(foreign, loader)
    images = data.tensors[0]
    torch.testing.assert_close(foreign(images), network(images).logits)


def test_a_dict_without_images_names_what_it_holds():
    with pytest.raises(TypeError) as raised:
        TopKClassifier(Tiny(10), 10).training_step({"x": torch.zeros(2, 4), "labels": torch.zeros(2)}, 0)
    assert str(raised.value) == ("batch must hold 'pixel_values' or 'images' or 'image', got the keys 'x', 'labels'.")
