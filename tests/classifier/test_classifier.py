"""TopKClassifier: arguments, logging, data modules, predictions."""

import functools

import pytest
import pytorch_lightning as pl
import torch
import torchmetrics
from jsonargparse import ArgumentParser
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from topk_lightning.classifier import TopKClassifier
from topk_lightning.metrics import TopKAccuracy, topk_accuracy
from topk_lightning.prediction import topk_predictions
from topk_lightning.ranking import in_topk, topk_indices

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*number of training batches:UserWarning"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
]


class Tiny(nn.Module):
    """A linear network whose scores are easy to compute by hand."""

    def __init__(self, num_classes: int, scale: float = 1.0) -> None:
        super().__init__()
        self.num_classes, self.scale = num_classes, scale
        self.linear = nn.Linear(4, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x.flatten(1)[:, :4]) * self.scale


def rows(n, num_classes=10, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return TensorDataset(torch.randn(n, 4, generator=generator), torch.randint(num_classes, (n,), generator=generator))


def trainer(tmp_path, **options):
    defaults = {
        "default_root_dir": tmp_path,
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return pl.Trainer(**{**defaults, **options})


def test_validation_numbers_are_those_of_the_whole_set(tmp_path):
    data = rows(37)
    classifier = TopKClassifier(Tiny(10), 10)
    (logged,) = trainer(tmp_path).validate(classifier, DataLoader(data, batch_size=8), verbose=False)
    images, target = data.tensors
    logits = classifier(images)
    assert logged["val/loss"] == pytest.approx(nn.functional.cross_entropy(logits, target).item())
    for k in (1, 3, 5):
        assert logged[f"val/top{k}"] == pytest.approx(in_topk(logits, target, k).sum().item() / 37)


def test_training_logs_loss_and_each_k_of_every_stage(tmp_path):
    fit = trainer(tmp_path, max_epochs=2, accumulate_grad_batches=2)
    classifier = TopKClassifier(Tiny(10), 10, k=[2, 7])
    loader = DataLoader(rows(20), batch_size=6)
    fit.fit(classifier, loader, loader)
    expected = {f"{stage}/{name}" for stage in ("train", "val") for name in ("loss", "top2", "top7")}
    assert set(fit.callback_metrics) == expected
    (tested,) = fit.test(classifier, loader, verbose=False)
    assert set(tested) == {"test/loss", "test/top2", "test/top7"}
    assert 0 <= tested["test/top2"] <= tested["test/top7"] <= 1


def test_accumulation_leaves_the_logged_training_loss_alone(tmp_path):
    losses = []
    for accumulate in (1, 3):
        torch.manual_seed(0)
        classifier = TopKClassifier(Tiny(10), 10, optimizer=functools.partial(torch.optim.SGD, lr=1e-30))
        fit = trainer(tmp_path, accumulate_grad_batches=accumulate)
        fit.fit(classifier, DataLoader(rows(18), batch_size=6))
        losses.append(fit.callback_metrics["train/loss"].item())
    assert losses[0] == pytest.approx(losses[1])
    images, target = rows(18).tensors
    assert losses[0] == pytest.approx(nn.functional.cross_entropy(classifier(images), target).item())


def test_soft_targets_train_and_count_their_expected_hits(tmp_path):
    images, target = rows(12).tensors
    mixed = 0.75 * nn.functional.one_hot(target, 10) + 0.25 * nn.functional.one_hot(target.roll(1), 10)
    fit = trainer(tmp_path, limit_train_batches=1)
    classifier = TopKClassifier(Tiny(10), 10, optimizer=functools.partial(torch.optim.SGD, lr=1e-30))
    fit.fit(classifier, DataLoader(TensorDataset(images, mixed), batch_size=12))
    logits = classifier(images)
    hits = 0.75 * in_topk(logits, target, 3).double().mean() + 0.25 * in_topk(logits, target.roll(1), 3).double().mean()
    assert fit.callback_metrics["train/top3"].item() == pytest.approx(hits.item())


@pytest.mark.parametrize(("num_classes", "k"), [(2, (1,)), (3, (1,)), (4, (1, 3)), (5, (1, 3)), (6, (1, 3, 5))])
def test_k_defaults_to_those_of_1_3_5_below_the_number_of_classes(num_classes, k):
    assert TopKClassifier(Tiny(num_classes), num_classes).k == k


@pytest.mark.parametrize("names", [["a", "b", "c"], {0: "a", 1: "b", 2: "c"}, {"c": 2, "a": 0, "b": 1}])
def test_class_names_come_in_three_forms_and_give_the_number_of_classes(names):
    classifier = TopKClassifier(class_names=names)
    assert classifier.class_names == ["a", "b", "c"]
    assert classifier.num_classes == 3


def test_predict_step_returns_named_best_classes(tmp_path):
    classifier = TopKClassifier(Tiny(4), class_names=["a", "b", "c", "d"])
    images = rows(5, 4).tensors[0]
    batches = trainer(tmp_path).predict(classifier, DataLoader(rows(5, 4), batch_size=3))
    assert [len(batch) for batch in batches] == [3, 2]
    shown = [[p.index for p in row] for batch in batches for row in batch]
    assert shown == topk_indices(classifier(images), 3).tolist()
    assert all(p.label == "abcd"[p.index] for batch in batches for row in batch for p in row)
    plain_images = trainer(tmp_path).predict(classifier, DataLoader(images, batch_size=3))
    assert plain_images == batches


def test_predict_step_answers_what_a_writer_asks_for(tmp_path):
    classifier = TopKClassifier(Tiny(4), 4)
    classifier.shown = lambda logits: logits.argmax(1).tolist()
    batches = trainer(tmp_path).predict(classifier, DataLoader(rows(5, 4), batch_size=3))
    assert batches == [part.argmax(1).tolist() for part in classifier(rows(5, 4).tensors[0]).split(3)]


class WithTimer(TopKClassifier):
    def configure_callbacks(self):
        return [*super().configure_callbacks(), pl.callbacks.Timer()]


def test_a_subclass_adds_callbacks_to_those_of_its_base(tmp_path):
    fit = trainer(tmp_path)
    fit.fit(WithTimer(Tiny(10), 10), DataLoader(rows(4), batch_size=4))
    assert any(isinstance(callback, pl.callbacks.Timer) for callback in fit.callbacks)


class Names(pl.LightningDataModule):
    def __init__(self, names, data=None):
        super().__init__()
        self.class_names, self.num_classes, self.data = names, len(names), data or rows(4, len(names))

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=4)


def test_class_names_are_taken_from_the_data_module(tmp_path):
    classifier = TopKClassifier(Tiny(3), 3)
    trainer(tmp_path).fit(classifier, datamodule=Names(["x", "y", "z"]))
    assert classifier.class_names == ["x", "y", "z"]
    assert classifier.hparams["class_names"] == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("options", "names", "message"),
    [
        ({"num_classes": 3}, ["x", "y"], "num_classes must be 2, the number of classes of the data, got 3."),
        (
            {"class_names": ["x", "y", "z"]},
            ["x", "y", "w"],
            "data must hold classes of the model only, got 'w'. The model's classes are 'x', 'y', 'z'.",
        ),
    ],
)
def test_other_classes_than_the_data_modules_are_refused(tmp_path, options, names, message):
    with pytest.raises(ValueError, match=r"the data|data must") as raised:
        trainer(tmp_path).fit(TopKClassifier(Tiny(3), **options), datamodule=Names(names))
    assert str(raised.value) == message


def test_names_for_people_may_differ_from_those_of_the_folders(tmp_path):
    classifier = TopKClassifier(Tiny(2), class_names=["Ant", "Bee"])
    trainer(tmp_path).fit(classifier, datamodule=Names(["n01", "n02"]))
    assert classifier.class_names == ["Ant", "Bee"]


def no_gradient(what):
    return (
        f"loss must be differentiable, got {what} does not change with a small step of the logits, so it has no gradient. "
        "Train with torch.nn.CrossEntropyLoss or topk_lightning.SmoothTopKSVMLoss and keep the metric to measure."
    )


def counts(name):
    return no_gradient(f"{name}, which counts hits: a count")


def ranks(name):
    return no_gradient(f"{name}, which ranks classes: a rank")


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        (TopKAccuracy(k=2), counts("TopKAccuracy")),
        (TopKAccuracy, counts("TopKAccuracy")),
        (functools.partial(TopKAccuracy(k=2), reduction="mean"), counts("TopKAccuracy")),
        (topk_accuracy, counts("topk_accuracy")),
        (functools.partial(functools.partial(topk_accuracy, k=2), ties="strict"), counts("topk_accuracy")),
        (torchmetrics.classification.MulticlassAccuracy(9), counts("MulticlassAccuracy")),
        (torchmetrics.functional.accuracy, counts("accuracy")),
        (in_topk, ranks("in_topk")),
        (topk_predictions, ranks("topk_predictions")),
        (functools.partial(topk_predictions, k=2, input="logits"), ranks("topk_predictions")),
    ],
)
def test_a_metric_or_a_ranking_is_no_loss(loss, sentence):
    with pytest.raises(TypeError) as raised:
        TopKClassifier(num_classes=9, loss=loss)
    assert str(raised.value) == sentence


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        (
            lambda logits, target: topk_accuracy(logits, target, 2),
            no_gradient("a value that was counted, ranked or detached: it"),
        ),
        (
            lambda logits, target: 1 - TopKAccuracy(k=2)(logits, target),
            no_gradient("a value that was counted, ranked or detached: it"),
        ),
        (
            lambda logits, target: in_topk(logits, target, 2).float().mean(),
            no_gradient("a value that was counted, ranked or detached: it"),
        ),
        (
            lambda logits, target: topk_predictions(logits, k=2, input="logits"),
            "loss must return one number (a tensor of shape ()), got list. "
            "Use torch.nn.CrossEntropyLoss or one of topk_lightning.losses.",
        ),
    ],
    ids=["topk_accuracy", "TopKAccuracy", "in_topk", "topk_predictions"],
)
def test_a_metric_inside_a_function_is_found_at_the_first_step(loss, sentence, tmp_path):
    with pytest.raises(TypeError) as raised:
        trainer(tmp_path).fit(TopKClassifier(Tiny(10), 10, loss=loss), DataLoader(rows(8), batch_size=4))
    assert str(raised.value) == sentence


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {},
            ValueError,
            "num_classes must be given where class_names is not, got None. "
            "For a data module, pass num_classes=datamodule.num_classes.",
        ),
        ({"num_classes": 1}, ValueError, "num_classes must be at least 2, got 1."),
        (
            {"num_classes": 3, "class_names": ["a"]},
            ValueError,
            "class_names must hold 3 names, one a class, got 1.",
        ),
        (
            {"num_classes": 3, "k": 4},
            ValueError,
            "k must be at most the number of classes (3), got 4. Use a smaller k.",
        ),
        (
            {"num_classes": 9, "loss": nn.CrossEntropyLoss},
            TypeError,
            "loss must be an object that is called with (logits, target), got the class CrossEntropyLoss. "
            "Did you mean CrossEntropyLoss()?",
        ),
        (
            {"num_classes": 9, "loss": 3},
            TypeError,
            "loss must be a callable of (logits, target), got 3. "
            "Use torch.nn.CrossEntropyLoss or one of topk_lightning.losses.",
        ),
        (
            {"num_classes": 9, "optimizer": "adamx"},
            ValueError,
            "optimizer must be one of 'adam', 'adamw', 'rmsprop', 'sgd', got 'adamx'.",
        ),
        ({"num_classes": 9, "lr": 0.0}, ValueError, "lr must be a finite number above 0, got 0.0."),
        (
            {"num_classes": 9, "lr_schedule": "step"},
            ValueError,
            "lr_schedule must be one of 'cosine', 'constant', got 'step'.",
        ),
        (
            {"network": "resnet81", "num_classes": 9},
            ValueError,
            "network must be 'small_cnn', a torchvision classification model, 'timm/<model>' or the import path of an "
            "nn.Module, got 'resnet81'. Did you mean 'resnet18' or 'resnet152'?",
        ),
        (
            {"network": nn.Flatten(), "num_classes": 9, "backbone_lr": 0.1},
            ValueError,
            "network must end in an nn.Linear or nn.Conv2d with 9 outputs to tell its head from its backbone, got Flatten.",
        ),
    ],
)
def test_arguments_that_cannot_work_are_refused_at_once(options, error, message):
    with pytest.raises(error) as raised:
        TopKClassifier(**options)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("classifier", "batch", "error", "message"),
    [
        (
            TopKClassifier(Tiny(7), 10),
            (torch.zeros(2, 4), torch.zeros(2, dtype=torch.long)),
            ValueError,
            "network must return logits of shape (2, 10), got (2, 7). Give its last layer 10 outputs, one a class.",
        ),
        (
            TopKClassifier(nn.LSTM(4, 10), 10),
            (torch.zeros(2, 4), torch.zeros(2, dtype=torch.long)),
            TypeError,
            "network must return logits of shape (2, 10), got tuple. "
            "Switch its auxiliary outputs off, or wrap it in a module that returns the logits alone.",
        ),
        (
            TopKClassifier(Tiny(10), 10),
            torch.zeros(2, 4),
            TypeError,
            "batch must be a pair (images, target), got Tensor.",
        ),
        (
            TopKClassifier(Tiny(10), 10, loss=nn.CrossEntropyLoss(reduction="none")),
            (torch.zeros(2, 4), torch.zeros(2, dtype=torch.long)),
            ValueError,
            'loss must return one number (a tensor of shape ()), got shape (2,). Use reduction="mean".',
        ),
    ],
)
def test_a_network_a_batch_or_a_loss_of_the_wrong_shape_ends_in_a_sentence(classifier, batch, error, message):
    with pytest.raises(error) as raised:
        classifier.training_step(batch, 0)
    assert str(raised.value) == message


# The names that jsonargparse deprecates are those of the lower bound.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["--network=small_cnn"], {"network": {"class_path": "small_cnn", "init_args": {}}}),
        (
            ["--network.class_path=small_cnn", "--network.init_args.width=4", "--k=[1,2]"],
            {"network": {"class_path": "small_cnn", "init_args": {"width": 4}}, "k": [1, 2]},
        ),
        (
            ['--network={"class_path": "topk_lightning.networks.SmallCNN", "init_args": {"width": 4}}', "--k=2"],
            {"network": {"class_path": "topk_lightning.networks.SmallCNN", "init_args": {"width": 4}}, "k": [2]},
        ),
        (["--loss=CrossEntropyLoss", "--loss.label_smoothing=0.1", "--optimizer=sgd"], {"optimizer": "sgd"}),
        (["--preprocessing={mean: [0.5]}", "--lr=0.1"], {"preprocessing": {"mean": [0.5]}, "lr": 0.1}),
    ],
)
def test_a_command_line_builds_it_from_plain_values(arguments, options):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(TopKClassifier, "model")
    parsed = parser.parse_args(["--model.num_classes=3", *(text.replace("--", "--model.", 1) for text in arguments)])
    classifier = parser.instantiate_classes(parsed).model
    assert {name: classifier.hparams[name] for name in options} == options
    if any(text.startswith("--loss") for text in arguments):
        assert classifier.loss.label_smoothing == 0.1
    # What a checkpoint keeps is a configuration again.
    again = parser.instantiate_classes(parser.parse_object({"model": dict(classifier.hparams)})).model
    assert dict(again.hparams) == dict(classifier.hparams)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "arguments",
    [
        ["--model.optimizer=torch.optim.SGD"],
        ["--model.optimizer.class_path=torch.optim.SGD", "--model.optimizer.init_args.momentum=0.5"],
    ],
)
def test_an_optimizer_class_of_a_command_line_is_kept_as_plain_data(arguments):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(TopKClassifier, "model")
    parsed = parser.parse_args(["--model.num_classes=3", *arguments])
    classifier = parser.instantiate_classes(parsed).model
    assert classifier.hparams["optimizer"]["class_path"].startswith("torch.optim")
    again = TopKClassifier(**classifier.hparams)
    groups = [{"params": list(again.parameters())}]
    assert again.optimizer(groups).defaults["momentum"] == (0.5 if len(arguments) == 2 else 0.0)


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (torch.zeros(6, 1, dtype=torch.long), "Did you mean target.squeeze(1)?"),
        (torch.full((6,), 7), "target must hold class indices in [0, 3), got 7."),
    ],
)
def test_a_wrong_target_gets_the_sentence_of_the_metrics(tmp_path, target, sentence):
    loader = DataLoader(TensorDataset(torch.randn(6, 3, 16, 16), target), batch_size=6)
    with pytest.raises(ValueError) as error:  # noqa: PT011
        trainer(tmp_path).fit(TopKClassifier(Tiny(3), 3), loader)
    assert sentence in str(error.value)


def test_the_metrics_leave_out_what_the_loss_leaves_out(tmp_path):
    target = torch.tensor([0, 1, 2, -100, -100, 0])
    loader = DataLoader(TensorDataset(torch.randn(6, 3, 16, 16), target), batch_size=6)
    classifier, run = TopKClassifier(Tiny(3), 3), trainer(tmp_path)
    run.validate(classifier, loader, verbose=False)
    logits = classifier(loader.dataset.tensors[0]).detach()
    assert run.callback_metrics["val/top1"] == (logits.argmax(1) == target)[target >= 0].float().mean()
