"""Each stage counts from nothing and counts all of its rows, whatever ran or broke off before, for each loader."""

import functools
import types

import pytest
import pytorch_lightning as pl
import torch
from lightning.pytorch.tuner import Tuner as LightningTuner
from pytorch_lightning.tuner import Tuner
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from tests.classifier.small import BOTH, Tiny, quiet, rows
from topk_lightning.classifier import TopKClassifier
from topk_lightning.ranking import in_topk

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*number of training batches:UserWarning"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty:UserWarning"),
]

still = functools.partial(torch.optim.SGD, lr=1e-30)
TRAIN, VAL = rows(64, seed=1), rows(37, seed=2)


def loader(data, batch_size=8):
    return DataLoader(data, batch_size=batch_size)


def expected(classifier, data, stage, suffix=""):
    images, target = data.tensors
    with torch.no_grad():
        logits = classifier(images)
    values = {f"{stage}/top{k}{suffix}": in_topk(logits, target, k).sum().item() / len(target) for k in classifier.k}
    return values | {f"{stage}/loss{suffix}": nn.functional.cross_entropy(logits, target).item()}


def seen(trainer, stage):
    return {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith(stage)}


class BreaksOff(pl.Callback):
    """Stops a stage within its third batch, as Ctrl-C or a full disk would."""

    def __init__(self, error):
        self.error = error

    def _stop(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0):
        if batch_idx == 2 and not trainer.sanity_checking:
            raise self.error

    on_train_batch_end = on_validation_batch_end = on_test_batch_end = _stop


@pytest.mark.parametrize(("package", "kind"), BOTH, ids=["pytorch_lightning", "lightning.pytorch"])
@pytest.mark.parametrize("trainers", [1, 2])
def test_a_baseline_before_and_between_trainings(tmp_path, package, kind, trainers):
    classifier = kind(Tiny(10), 10, optimizer=still)
    first = quiet(tmp_path, package)
    second = first if trainers == 1 else quiet(tmp_path, package)
    (baseline,) = first.validate(classifier, loader(VAL), verbose=False)
    assert baseline == pytest.approx(expected(classifier, VAL, "val"))
    second.fit(classifier, loader(TRAIN), loader(VAL))
    assert seen(second, "train") == pytest.approx(expected(classifier, TRAIN, "train"))
    assert seen(second, "val") == pytest.approx(expected(classifier, VAL, "val"))
    (again,) = first.validate(classifier, loader(VAL), verbose=False)
    assert again == pytest.approx(expected(classifier, VAL, "val"))
    third = quiet(tmp_path, package)
    third.fit(classifier, loader(TRAIN), loader(VAL))
    assert seen(third, "train") == pytest.approx(expected(classifier, TRAIN, "train"))


@pytest.mark.parametrize("trainers", [1, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("disk full")], ids=["Ctrl-C", "exception"])
@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_what_broke_off_is_not_counted_again(tmp_path, stage, error, trainers):
    classifier = TopKClassifier(Tiny(10), 10, optimizer=still)
    breaking = BreaksOff(error)
    trainer = quiet(tmp_path, callbacks=[breaking])
    data = (loader(TRAIN), loader(VAL)) if stage == "fit" else (loader(VAL),)
    with pytest.raises((KeyboardInterrupt, RuntimeError, SystemExit)):
        getattr(trainer, stage)(classifier, *data)
    if trainers == 2:
        trainer = quiet(tmp_path)
    else:
        trainer.callbacks.remove(breaking)
    getattr(trainer, stage)(classifier, *data)
    if stage == "fit":
        assert seen(trainer, "train") == pytest.approx(expected(classifier, TRAIN, "train"))
    name = {"fit": "val", "validate": "val", "test": "test"}[stage]
    assert seen(trainer, name) == pytest.approx(expected(classifier, VAL, name))


class OwnHooks(TopKClassifier):
    """As modules are written: Lightning's own hooks do nothing, so nobody calls them."""

    def on_train_start(self):
        pass

    on_validation_epoch_start = on_test_epoch_start = on_train_start


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_a_run_begins_from_nothing_also_where_a_subclass_has_hooks_of_its_own(tmp_path, stage):
    classifier = OwnHooks(Tiny(10), 10, optimizer=still)
    data = (loader(TRAIN), loader(VAL)) if stage == "fit" else (loader(VAL),)
    with pytest.raises(RuntimeError):
        getattr(quiet(tmp_path, callbacks=[BreaksOff(RuntimeError("disk full"))]), stage)(classifier, *data)
    trainer = quiet(tmp_path)
    getattr(trainer, stage)(classifier, *data)
    if stage == "fit":
        assert seen(trainer, "train") == pytest.approx(expected(classifier, TRAIN, "train"))
    name = {"fit": "val", "validate": "val", "test": "test"}[stage]
    assert seen(trainer, name) == pytest.approx(expected(classifier, VAL, name))


def of_some_rows(logits, target):
    """As cross entropy, of one row at least."""
    return nn.functional.cross_entropy(logits, target) + 0 * logits.amax()


@pytest.mark.parametrize(("batch_size", "loss"), [(1, None), (2, None), (1, of_some_rows)])
def test_rows_that_a_sampler_repeats_are_trained_on_and_count_in_no_other_stage(tmp_path, batch_size, loss):
    """Five rows in shares of two: the second one's third row was dealt before."""
    data = rows(5)
    share = DataLoader(data, batch_size, sampler=DistributedSampler(data, 2, rank=1, shuffle=False))
    own, all_of_it = (TensorDataset(*(part[order] for part in data.tensors)) for order in ([1, 3], [1, 3, 0]))
    classifier, trainer = TopKClassifier(Tiny(10), 10, loss=loss, optimizer=still), quiet(tmp_path)
    trainer.fit(classifier, share, share)
    assert seen(trainer, "val") == pytest.approx(expected(classifier, own, "val"))
    assert seen(trainer, "train") == pytest.approx(expected(classifier, all_of_it, "train"))
    (tested,) = trainer.test(classifier, share, verbose=False)
    assert tested == pytest.approx(expected(classifier, own, "test"))


@pytest.mark.filterwarnings("ignore:.*batch_size.*:UserWarning")
@pytest.mark.parametrize(
    ("package", "kind", "tuner"),
    [(*BOTH[0], Tuner), (*BOTH[1], LightningTuner)],
    ids=["pytorch_lightning", "lightning.pytorch"],
)
def test_searches_before_a_training_leave_nothing_behind(tmp_path, package, kind, tuner):
    classifier = kind(Tiny(10), 10, lr=1e-3)
    quiet(tmp_path, package).validate(classifier, loader(VAL), verbose=False)
    tuner(quiet(tmp_path, package)).lr_find(classifier, loader(TRAIN), num_training=5, update_attr=False)
    short = quiet(tmp_path, package, max_epochs=-1, max_steps=3)
    short.fit(classifier, loader(TRAIN))
    classifier.optimizer = still
    trainer = quiet(
        tmp_path, package,
        callbacks=[package.callbacks.LearningRateFinder(num_training_steps=3, update_attr=False)],
    )  # fmt: skip
    trainer.fit(classifier, loader(TRAIN), loader(VAL))
    # The finder leaves the weights a little elsewhere within the epoch; the hits are those of all rows, each once.
    assert seen(trainer, "train") == pytest.approx(expected(classifier, TRAIN, "train"), rel=1e-3)
    assert seen(trainer, "val") == pytest.approx(expected(classifier, VAL, "val"))


class Sized(pl.LightningDataModule):
    def __init__(self):
        super().__init__()
        self.batch_size = 2

    def train_dataloader(self):
        return loader(TRAIN, self.batch_size)

    def val_dataloader(self):
        return loader(VAL, self.batch_size)


def test_a_batch_size_that_was_searched_leaves_nothing_behind(tmp_path):
    classifier = TopKClassifier(Tiny(10), 10, optimizer=still)
    finder = pl.callbacks.BatchSizeFinder(max_trials=2, steps_per_trial=1)
    trainer = quiet(tmp_path, callbacks=[finder])
    trainer.fit(classifier, datamodule=Sized())
    assert seen(trainer, "train") == pytest.approx(expected(classifier, TRAIN, "train"))


DAY, NIGHT = rows(9, seed=3), rows(14, seed=4)


@pytest.mark.parametrize(
    ("loaders", "names"),
    [
        ([loader(DAY), loader(NIGHT)], ["/dataloader_idx_0", "/dataloader_idx_1"]),
        ({"day": loader(DAY), "night": loader(NIGHT)}, ["/day", "/night"]),
    ],
    ids=["list", "dict"],
)
@pytest.mark.parametrize(("package", "kind"), BOTH, ids=["pytorch_lightning", "lightning.pytorch"])
def test_each_of_several_loaders_has_numbers_of_its_own(tmp_path, package, kind, loaders, names):
    classifier = kind(Tiny(10), 10, k=[1, 3])
    trainer = quiet(tmp_path, package)
    trainer.fit(classifier, loader(TRAIN), loaders)
    wanted = expected(classifier, DAY, "val", names[0]) | expected(classifier, NIGHT, "val", names[1])
    assert seen(trainer, "val") == pytest.approx(wanted)
    results = trainer.test(classifier, loaders, verbose=False)
    assert results[0] == pytest.approx(expected(classifier, DAY, "test", names[0]))
    assert results[1] == pytest.approx(expected(classifier, NIGHT, "test", names[1]))
    # And back to one, whose names are plain.
    (alone,) = trainer.test(
        classifier, loaders[:1] if isinstance(loaders, list) else {"day": loaders["day"]}, verbose=False
    )
    assert alone == pytest.approx(expected(classifier, DAY, "test"))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.int8, torch.uint8])
def test_targets_of_any_integer_dtype(tmp_path, dtype):
    images, target = VAL.tensors
    classifier = TopKClassifier(Tiny(10), 10)
    (logged,) = quiet(tmp_path).validate(classifier, loader(TensorDataset(images, target.to(dtype))), verbose=False)
    assert logged == pytest.approx(expected(classifier, VAL, "val"))


CLASS_WEIGHTS = torch.tensor([1.0, 4.0, 9.0])


@pytest.mark.parametrize("batch_size", [4, 5])
@pytest.mark.parametrize(
    ("loss", "whole"),
    [
        (nn.CrossEntropyLoss(), nn.CrossEntropyLoss()),
        (nn.CrossEntropyLoss(CLASS_WEIGHTS), nn.CrossEntropyLoss(CLASS_WEIGHTS)),
        (nn.CrossEntropyLoss(CLASS_WEIGHTS, reduction="sum"), nn.CrossEntropyLoss(CLASS_WEIGHTS)),
        (functools.partial(nn.functional.cross_entropy, weight=CLASS_WEIGHTS), nn.CrossEntropyLoss(CLASS_WEIGHTS)),
        (lambda logits, target: nn.functional.cross_entropy(logits, target), nn.CrossEntropyLoss()),
    ],
    ids=["plain", "weights", "sum", "partial", "own"],
)
def test_the_loss_of_an_epoch_is_that_of_one_batch_of_all_its_rows(tmp_path, loss, whole, batch_size):
    target = torch.tensor([0, 2, 1, 0, 0, 2, 2, 1, 0, 0])
    if not isinstance(loss, types.FunctionType):  # the own function says nothing of rows that it leaves out
        target[1:4] = -100
    images = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    classifier = TopKClassifier(Tiny(3), 3, loss=loss)
    (logged,) = quiet(tmp_path).validate(classifier, loader(TensorDataset(images, target), batch_size), verbose=False)
    assert logged["val/loss"] == pytest.approx(whole(classifier(images), target).item())


def test_a_batch_of_ignored_rows_counts_nothing(tmp_path):
    target = torch.tensor([-100, -100, 0, 1])
    images = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    classifier = TopKClassifier(Tiny(3), 3)
    (logged,) = quiet(tmp_path).validate(classifier, loader(TensorDataset(images, target), 2), verbose=False)
    assert logged["val/loss"] == pytest.approx(nn.functional.cross_entropy(classifier(images), target).item())


class Stateful(DataLoader):
    """Goes on where it was, as torchdata's StatefulDataLoader does."""

    position = 0

    def __iter__(self):
        for number, batch in enumerate(super().__iter__()):
            if number >= self.position:
                self.position = (number + 1) % len(self)
                yield batch

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


class SaveAfter(pl.Callback):
    def __init__(self, path, batches):
        self.path, self.batches = path, batches

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if batch_idx + 1 == self.batches:
            trainer.save_checkpoint(self.path)


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before:UserWarning")
@pytest.mark.parametrize("kind", [DataLoader, Stateful])
def test_a_training_that_goes_on_within_an_epoch_says_which_rows_its_numbers_are_over(tmp_path, kind):
    path = tmp_path / "half.ckpt"
    saving = quiet(tmp_path, callbacks=[SaveAfter(path, 4)])
    saving.fit(TopKClassifier(Tiny(10), 10, optimizer=still), kind(TRAIN, batch_size=8))
    classifier, trainer = TopKClassifier(Tiny(10), 10, optimizer=still), quiet(tmp_path)
    with pytest.warns(UserWarning, match="goes on") as told:
        trainer.fit(classifier, kind(TRAIN, batch_size=8), ckpt_path=path)
    sentences = [str(warning.message) for warning in told if "goes on" in str(warning.message)]
    sentence = (
        "Training goes on within epoch 1, with batch 5 of 8: train/loss and train/top<k> of this epoch are over its batches "
        "from there on."
    )
    if kind is DataLoader:
        sentence += " The loader keeps no state, so these are its first batches again."
    assert sentences == [sentence]
    images, target = TRAIN.tensors
    seen_rows = slice(32, 64) if kind is Stateful else slice(0, 32)
    rest = TensorDataset(images[seen_rows], target[seen_rows])
    assert seen(trainer, "train") == pytest.approx(expected(classifier, rest, "train"))
