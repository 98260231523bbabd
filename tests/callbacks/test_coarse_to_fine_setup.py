"""CoarseToFine: where the groups come from, and what it refuses before the first batch."""

import functools

import jsonargparse
import matplotlib.pyplot as plt
import pytest
import pytorch_lightning
import torch
from torch import nn
from torch.nn import functional as F

from tests.callbacks.modules import CLASSES, Plain, loader, logged, trainer
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning.callbacks.coarse_to_fine import CoarseToFine
from topk_lightning.losses import NoisedTopKHingeLoss, TemperatureCrossEntropyLoss
from topk_lightning.schedules import Constant

GROUPS = [0, 0, 1, 1, 2, 2]
NAMES = ["boston", "airedale", "beagle", "basset", "siamese", "sphynx"]
COARSE = dict(zip(NAMES, ["terrier", "terrier", "hound", "hound", "cat", "cat"], strict=True))

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning")


class Named(Plain):
    class_names = NAMES


class Data(pytorch_lightning.LightningDataModule):
    def __init__(self, fine_to_coarse):
        super().__init__()
        self.fine_to_coarse, self.class_names = fine_to_coarse, NAMES

    def train_dataloader(self):
        return loader(4)


def fit(callback, module=None, **options):
    module = module or Named()
    trainer(callback, **options).fit(module, loader(8))
    return module


def refused(callback, module=None, kind=CallbackError, **options):
    module = module or Plain()
    with pytest.raises(kind) as raised:
        fit(callback, module, **options)
    assert "forward" not in vars(getattr(module, "loss", module))
    return str(raised.value)


@pytest.mark.parametrize("k", [None, 5, (1, 5)])
def test_a_list_of_too_few_classes_is_what_is_wrong_whatever_k_is(k):
    sentence = refused(CoarseToFine([0, 1, 1], k=k), kind=ValueError)
    assert sentence.startswith("fine_to_coarse must ")


@pytest.mark.parametrize("kind", ["dict", "indices", "csv", "folders", "data module", "level"])
def test_every_source_of_groups_gives_the_same_training(tmp_path, kind):
    datamodule = None
    if kind == "csv":
        (tmp_path / "breeds.csv").write_text("".join(f"{fine},{coarse}\n" for fine, coarse in COARSE.items()))
    if kind == "folders":
        for fine, coarse in COARSE.items():
            (tmp_path / "tree" / coarse / fine).mkdir(parents=True)
    if kind == "data module":
        datamodule = Data([2, 2, 1, 1, 0, 0])
    if kind == "level":
        datamodule = Data({"species": [1, 1, 1, 1, 0, 0], "kind": [2, 2, 1, 1, 0, 0]})
    given = {
        "dict": dict(sorted(COARSE.items())),
        "indices": {i: i // 2 for i in range(6)},
        "csv": str(tmp_path / "breeds.csv"),
        "folders": tmp_path / "tree",
    }.get(kind)
    callback = CoarseToFine(given, schedule=Constant(1.0), level="kind" if kind == "level" else None)
    losses = []

    class Watch(Named):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            losses.append(outputs["loss"].item())

    module = Watch()
    inputs, target = next(iter(loader(4)))
    with torch.no_grad():
        module.network[2] = nn.Identity()
        logits = module.network(inputs)
        grouped = torch.stack([logits[:, 0:2], logits[:, 2:4], logits[:, 4:6]], 1).logsumexp(2)
        expected = F.cross_entropy(grouped, target // 2).item()
    run = trainer(callback)
    if datamodule is None:
        run.fit(module, loader(4))
    else:
        run.fit(module, datamodule=datamodule)
    assert losses == [pytest.approx(expected, rel=1e-5)]
    assert set(logged(run)) >= {"train/coarse_top1", "train/coarse_top3", "train/fine_top5"}


def test_a_hierarchy_that_nobody_gave():
    assert refused(CoarseToFine()) == (
        "fine_to_coarse must be given where the data module has none, got no data module. "
        "Pass a list of group indices, a dict {class: group}, a csv file or a folder root/group/class."
    )
    levels = Data({"species": [1, 1, 1, 1, 0, 0], "kind": [2, 2, 1, 1, 0, 0]})
    for level in (None, "order"):
        with pytest.raises(CallbackError) as raised:
            trainer(CoarseToFine(level=level)).fit(Named(), datamodule=levels)
        assert str(raised.value) == f"level must be one of the data module's ('species', 'kind'), got {level!r}."
    assert refused(CoarseToFine([0] * 6)) == (
        "fine_to_coarse must hold at least 2 groups, got 1. One group leaves nothing to learn."
    )
    assert refused(CoarseToFine([0, 1], k=1), kind=ValueError) == (
        "fine_to_coarse must name a group for each of the 6 classes of the logits, got 2."
    )


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (nn.CrossEntropyLoss(weight=torch.ones(CLASSES)), "weight"),
        (TemperatureCrossEntropyLoss(weight=torch.ones(CLASSES)), "weight"),
        (NoisedTopKHingeLoss(k=2, margins=torch.ones(CLASSES)), "margins"),
        (functools.partial(F.cross_entropy, weight=torch.ones(CLASSES)), "weight"),
    ],
)
def test_class_weights_and_margins_are_refused(loss, name):
    module = Plain()
    del module.loss
    module.loss = loss
    assert refused(CoarseToFine(GROUPS), module) == (
        f"loss.{name} must be left out, since the loss is also computed on 3 groups, got a tensor of shape (6,). "
        "Balance the classes by sampling instead, such as with torch.utils.data.WeightedRandomSampler."
    )


def test_losses_that_do_not_fit_are_refused():
    def with_loss(loss):
        module = Plain()
        module.loss = loss
        return module

    assert refused(CoarseToFine(GROUPS), with_loss(nn.BCEWithLogitsLoss())) == (
        "loss must be a loss of one right class a row, whose logits may be summed over a group, got BCEWithLogitsLoss."
    )
    assert refused(CoarseToFine(GROUPS), with_loss(nn.CrossEntropyLoss(ignore_index=1))) == (
        "loss.ignore_index must be outside the indices of the groups, [0, 3), got 1. Use -100."
    )


def test_a_loss_that_cannot_be_found_or_is_not_called():
    assert refused(CoarseToFine(GROUPS, attribute="criterion")) == (
        "attribute must name a loss of Plain that can be called, got 'criterion'. Did you mean attribute='loss'?"
    )

    class Bare(Plain):
        def __init__(self):
            super().__init__()
            del self.loss

        def training_step(self, batch, batch_idx):
            return F.cross_entropy(self(batch[0]), batch[1])

    assert refused(CoarseToFine(GROUPS), Bare()) == (
        "attribute must name a loss of Bare that can be called, got 'loss'. Add self.loss = torch.nn.CrossEntropyLoss() "
        "to Bare.__init__ and call self.loss(logits, target) in its steps."
    )

    class Other(Plain):
        def training_step(self, batch, batch_idx):
            return F.cross_entropy(self(batch[0]), batch[1])

    assert refused(CoarseToFine(GROUPS), Other()) == (
        "Other.loss must be called in training_step, got a step without it. Call self.loss(logits, target) in "
        "training_step, or pass the attribute that it calls."
    )

    class Keywords(Plain):
        def training_step(self, batch, batch_idx):
            return self.loss(input=self(batch[0]), target=batch[1])

    assert (
        refused(CoarseToFine(GROUPS), Keywords()) == "loss must be called as loss(logits, target), got other arguments."
    )


def test_two_callbacks_on_one_loss_and_an_endless_training():
    module = Plain()
    module.criterion = module.loss
    with pytest.raises(CallbackError) as raised:
        trainer(CoarseToFine(GROUPS), CoarseToFine(GROUPS, attribute="criterion")).fit(module, loader(8))
    assert str(raised.value) == "attribute must be coarsened by one CoarseToFine, got 'criterion' by two."
    assert "forward" not in vars(module.loss)
    with pytest.raises(CallbackError, match="total_steps must be given where the length of training is unknown"):
        fit(CoarseToFine(GROUPS), max_epochs=-1)
    fit(CoarseToFine(GROUPS, total_steps=4), max_epochs=-1, max_steps=4)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"schedule": "exponential"}, "schedule must be one of 'switch', 'linear', 'cosine', got 'exponential'."),
        (
            {"finish_fraction": 0.5},
            'finish_fraction must be left out where schedule is "switch", got 0.5. A switch happens at hold_fraction.',
        ),
        (
            {"schedule": Constant(1.0), "hold_fraction": 0.5},
            "hold_fraction must be left out where schedule is an object, got 0.5. Give hold_fraction to the schedule instead.",
        ),
        ({"hold_fraction": 0.0}, "hold_fraction must be a finite number above 0, got 0.0."),
        (
            {"schedule": "linear", "hold_fraction": 0.5, "finish_fraction": 0.5},
            "finish_fraction must be above hold_fraction (0.5), got 0.5.",
        ),
    ],
)
def test_options_are_checked(options, sentence):
    with pytest.raises(ValueError, match="must") as raised:
        CoarseToFine(GROUPS, **options)
    assert str(raised.value) == sentence


def test_a_schedule_that_leaves_the_weights():
    assert refused(CoarseToFine(GROUPS, schedule=lambda progress: 2 - progress)) == (
        "schedule must return the weight of the coarse loss, in [0, 1], got 2.0 at progress 0."
    )


def test_plot_draws_the_weight_before_training():
    figure, axes = CoarseToFine(GROUPS, hold_fraction=0.5).plot()
    (line,) = axes.lines
    assert line.get_ydata()[0] == 1
    assert line.get_ydata()[-1] == 0
    plt.close(figure)


@pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning")
def test_it_can_be_written_in_yaml():
    parser = jsonargparse.ArgumentParser()
    parser.add_argument("--callback", type=pytorch_lightning.Callback)
    found = parser.parse_object(
        {
            "callback": {
                "class_path": "topk_lightning.callbacks.coarse_to_fine.CoarseToFine",
                "init_args": {
                    "fine_to_coarse": COARSE,
                    "schedule": "linear",
                    "hold_fraction": 0.2,
                    "k": [1, 3],
                },
            }
        }
    )
    callback = parser.instantiate_classes(found).callback
    assert isinstance(callback, CoarseToFine)
    assert callback.k == (1, 3)
    assert callback.fine_to_coarse == COARSE
