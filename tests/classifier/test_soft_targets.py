"""MixUp, CutMix, label smoothing and the average of weights: with any loss, in training only, kept in the checkpoint."""

import functools
import inspect

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.classifier.small import BOTH, Tiny, quiet, rows
from topk_lightning import losses
from topk_lightning.classifier import TopKClassifier
from topk_lightning.classifier._soft_targets import SoftTargets
from topk_lightning.networks import SmallCNN

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*number of training batches:UserWarning"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
]

still = functools.partial(torch.optim.SGD, lr=1e-30)


def images_of_classes(n=6, classes=3):
    """Images each of whose channels is bright in one class only, so that a mixture shows its proportions."""
    target = torch.arange(n) % classes
    pixels = nn.functional.one_hot(target, classes).float()[:, :, None, None].expand(-1, -1, 16, 16)
    return pixels.contiguous(), target


@pytest.mark.parametrize("options", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}])
def test_targets_are_mixed_in_the_proportions_of_the_images(options):
    torch.manual_seed(0)
    for _ in range(10):
        images, target = SoftTargets(3, **options)(*images_of_classes())
        torch.testing.assert_close(images.mean((2, 3)), target)
        torch.testing.assert_close(target.sum(1), torch.ones(6))


def test_smoothing_spreads_a_share_evenly_over_all_classes():
    _, target = SoftTargets(4, label_smoothing=0.2)(torch.zeros(2, 3, 8, 8), torch.tensor([1, 3]))
    torch.testing.assert_close(target, torch.tensor([[0, 1, 0, 0], [0, 0, 0, 1.0]]) * 0.8 + 0.2 / 4)


def test_smoothing_with_cross_entropy_is_torchs(tmp_path):
    data = rows(12)
    ours, torchs = (
        TopKClassifier(Tiny(10), 10, optimizer=still, **options)
        for options in ({"label_smoothing": 0.1}, {"loss": nn.CrossEntropyLoss(label_smoothing=0.1)})
    )
    torchs.network.load_state_dict(ours.network.state_dict())
    logged = []
    for classifier in (ours, torchs):
        trainer = quiet(tmp_path)
        trainer.fit(classifier, DataLoader(data, batch_size=5))
        logged.append(trainer.callback_metrics["train/loss"].item())
    assert logged[0] == pytest.approx(logged[1])


LOSSES = [nn.CrossEntropyLoss(), losses.LogitAdjusted(losses.SmoothTopKSVMLoss(), class_counts=[3, 3, 2])]
for name in losses.__all__:
    if name.endswith("Loss"):
        kind = getattr(losses, name)
        counted = "class_counts" in inspect.signature(kind).parameters
        LOSSES.append(kind(class_counts=[3, 3, 2]) if counted else kind())


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_every_loss_trains_with_all_of_them_and_validation_is_plain(tmp_path, loss):
    images, target = images_of_classes(8, 3)
    data = TensorDataset(images, target)
    classifier = TopKClassifier(
        SmallCNN(3, width=2), 3, loss=loss, label_smoothing=0.1, mixup=0.2, cutmix=1.0, k=[1, 2]
    )
    before = [parameter.clone() for parameter in classifier.parameters()]
    trainer = quiet(tmp_path, max_epochs=2)
    trainer.fit(classifier, DataLoader(data, batch_size=4), DataLoader(data, batch_size=8))
    logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert 0 <= logged["train/top1"] <= logged["train/top2"] <= 1
    assert torch.isfinite(torch.tensor(list(logged.values()))).all()
    assert any((a != b).any() for a, b in zip(before, classifier.parameters(), strict=True))
    with torch.no_grad():
        expected = loss(classifier.eval()(images), target)
    assert logged["val/loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_rows_that_the_loss_ignores_are_mixed_into_none(tmp_path):
    images, target = images_of_classes(6)
    target[2] = -100
    mixed, soft = SoftTargets(3, mixup=0.4)(images, target, ignore_index=-100)
    assert len(mixed) == len(soft) == 5
    torch.testing.assert_close(mixed.mean((2, 3)), soft)


def test_distributions_are_mixed_and_smoothed_too():
    images, target = images_of_classes(6)
    soft = nn.functional.one_hot(target, 3).float()
    mixed, mixture = SoftTargets(3, label_smoothing=0.3, mixup=0.4)(images, soft)
    torch.testing.assert_close(mixed.mean((2, 3)) * 0.7 + 0.3 / 3, mixture)


def test_a_wrong_target_gets_the_sentence_of_the_metrics():
    classifier = TopKClassifier(SmallCNN(3, width=2), 3, mixup=0.4)
    with pytest.raises(ValueError, match=r"Did you mean target.squeeze\(1\)\?"):
        classifier.training_step((torch.rand(4, 3, 16, 16), torch.zeros(4, 1, dtype=torch.long)), 0)
    with pytest.raises(ValueError, match=r"^target must hold class indices in \[0, 3\), got 7"):
        classifier.training_step((torch.rand(4, 3, 16, 16), torch.full((4,), 7)), 0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1, got 1.0."),
        ({"mixup": -1}, "mixup must be at least 0, got -1. It is the α of Beta(α, α); 0: none."),
        ({"ema": 1.5}, "ema must be a fraction in [0, 1], got 1.5."),
    ],
)
def test_numbers_out_of_range_are_refused_at_once(options, sentence):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        TopKClassifier(Tiny(3), 3, **options)
    assert str(raised.value) == sentence


@pytest.mark.parametrize(("package", "kind"), BOTH, ids=["pytorch_lightning", "lightning.pytorch"])
def test_validation_and_checkpoint_go_by_the_average_of_the_weights(tmp_path, package, kind):
    decay, sgd = 0.5, functools.partial(torch.optim.SGD, lr=0.5)
    images, target = rows(8, 3).tensors
    classifier = kind(Tiny(3), 3, optimizer=sgd, lr_schedule="constant", ema=decay, k=1)
    plain = Tiny(3)
    plain.load_state_dict(classifier.network.state_dict())
    trainer = quiet(tmp_path, package, max_epochs=3)
    whole = DataLoader(TensorDataset(images, target), batch_size=8)
    trainer.fit(classifier, whole, whole)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    # The same three steps by hand; the average begins with the weights after the first.
    optimizer, average = sgd(plain.parameters()), None
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(plain(images), target).backward()
        optimizer.step()
        now = plain.linear.weight.detach().clone()
        average = now if average is None else decay * average + (1 - decay) * now
    torch.testing.assert_close(classifier.network.linear.weight, average)
    loaded = kind.load_from_checkpoint(tmp_path / "model.ckpt", network=Tiny(3))
    torch.testing.assert_close(loaded.network.linear.weight, average)
    (tested,) = trainer.validate(loaded, whole, verbose=False)
    assert trainer.callback_metrics["val/loss"] == tested["val/loss"]
    assert loaded.hparams["ema"] == decay


class SaveAfterEpoch(pl.Callback):
    def __init__(self, path, epoch):
        self.path, self.epoch = path, epoch

    def on_train_epoch_end(self, trainer, module):
        if trainer.current_epoch == self.epoch:
            trainer.save_checkpoint(self.path)


def test_the_average_goes_with_batch_normalisation_and_a_resume(tmp_path):
    images, target = images_of_classes(8)
    loader = DataLoader(TensorDataset(images, target), batch_size=4)

    def classifier():
        torch.manual_seed(0)
        return TopKClassifier(SmallCNN(3, width=2), 3, ema=0.9)

    path = tmp_path / "half.ckpt"
    whole, resumed = classifier(), classifier()
    quiet(tmp_path, max_epochs=4, callbacks=[SaveAfterEpoch(path, 1)]).fit(whole, loader, loader)
    quiet(tmp_path, max_epochs=4).fit(resumed, loader, loader, ckpt_path=path)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, msg=name)
