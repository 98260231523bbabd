"""What the annealings of fastai refuse, in whole sentences."""

import functools
import importlib
import re
import sys

import pytest
from torch import nn

import topk_lightning.callbacks
import topk_lightning.integrations.fastai as fastai_twins
from tests.integrations.learners import learner, vision, watched
from topk_lightning.callbacks import CallbackError
from topk_lightning.integrations.fastai import KAnnealing, TemperatureAnnealing, TopKAccuracy
from topk_lightning.losses import SmoothTopKSVMLoss


def message(error, learn):
    """The sentence without what fastai writes before it."""
    with pytest.raises(CallbackError) as raised:
        learn.fit(1)
    text = str(raised.value)
    assert re.match(error + "$", text.split("\n\t")[-1]), text


def test_cross_entropy_has_no_temperature_and_the_error_says_what_has_one():
    sentence = (
        "attribute must be an attribute of Learner, got 'loss_func.temperature', but loss_func is CrossEntropyLossFlat, "
        "which has no temperature. Pass loss_func=TemperatureCrossEntropyLoss() to Learner."
    )
    learn, _ = watched(TemperatureAnnealing(), loss=vision.CrossEntropyLossFlat())
    message(re.escape(sentence), learn)
    assert "all_batches" not in learn.__dict__


def test_a_function_has_no_k():
    learn, _ = watched(KAnnealing(at=(0, 0.1, 0.2)), loss=nn.functional.cross_entropy)
    message(".*loss_func is the function cross_entropy.*Pass loss_func=SmoothTopKSVMLoss\\(k=5\\) to Learner\\.", learn)


@pytest.mark.parametrize(
    ("attribute", "where"),
    [
        ("loss_func.sharpness", "loss_func is SmoothTopKSVMLoss, which has no sharpness"),
        ("model.head.temperature", "model is Linear, which has no head"),
    ],
)
def test_another_attribute_is_an_error_that_shows_the_line_to_add(attribute, where):
    learn, _ = watched(TemperatureAnnealing(attribute=attribute), loss=SmoothTopKSVMLoss())
    sentence = (
        f"attribute must be an attribute of Learner, got '{attribute}', but {where}. "
        f"Add this line before training: learn.{attribute} = 4.0"
    )
    message(re.escape(sentence), learn)


def test_two_of_one_attribute_are_an_error():
    learn, _ = watched(TemperatureAnnealing(), TemperatureAnnealing(3.0))
    sentence = "attribute must be set by one callback, got 'loss_func.temperature' by TemperatureAnnealing and TemperatureAnnealing."
    message(re.escape(sentence), learn)


def test_an_unknown_metric_lists_those_that_exist():
    annealing = KAnnealing((2, 1), monitor="val/top5", threshold=0.5)
    learn, _ = watched(annealing, loss=SmoothTopKSVMLoss(k=2), metrics=[vision.accuracy, TopKAccuracy(2)])
    sentence = (
        "monitor must be one of the recorded values (train_loss, valid_loss, accuracy, top2), got 'val/top5'. Add the "
        "metric to the metrics of the Learner."
    )
    message(re.escape(sentence), learn)


@pytest.mark.parametrize(
    ("attribute", "sentence"),
    [
        ("loss.temperature", "got 'loss.temperature'. Did you mean 'loss_func.temperature'?"),
        ("temperature", "got 'temperature'."),
        ("model", "got 'model'."),
    ],
)
def test_an_attribute_begins_in_the_loss_or_the_model(attribute, sentence):
    # fastai looks an unknown attribute of the Learner up in the model, but sets it in the Learner.
    whole = f'attribute must begin with "loss_func." or "model.", {sentence}'
    with pytest.raises(ValueError, match=f"^{re.escape(whole)}$"):
        TemperatureAnnealing(attribute=attribute)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (functools.partial(TemperatureAnnealing, 0.0), "start must be a finite number above 0, got 0.0."),
        (functools.partial(TemperatureAnnealing, eval_value=-1), "eval_value must be a finite number above 0, got -1."),
        (functools.partial(KAnnealing, (5,), (0,)), "ladder must hold at least two k, got (5,)."),
        (functools.partial(KAnnealing, (5, 3), (0, 0.5), eval_value=0), "eval_value must be at least 1, got 0."),
    ],
)
def test_bad_values_are_errors_before_training(make, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        make()


def test_without_fastai_the_import_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "fastai"]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in [name for name in sys.modules if name.startswith("topk_lightning.integrations")]:
        monkeypatch.delitem(sys.modules, name)
    sentence = (
        "topk_lightning.integrations.fastai must be imported where the package fastai is installed, got an environment "
        'without it. Install it with: pip install "topk-lightning[fastai]".'
    )
    with pytest.raises(ModuleNotFoundError, match=f"^{re.escape(sentence)}$"):
        importlib.import_module("topk_lightning.integrations.fastai")


@pytest.mark.parametrize("name", [name for name in topk_lightning.callbacks.__all__ if not name.endswith("Error")])
def test_a_callback_of_lightning_names_its_twin_or_that_there_is_none(name, tmp_path):
    callback = callback_of(name, tmp_path)
    twin = (
        f"Use topk_lightning.integrations.fastai.{name}."
        if name in fastai_twins.__all__
        else "It has no twin for fastai."
    )
    sentence = f"cbs must hold callbacks of fastai, got topk_lightning.{name}. {twin}"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        learner(cbs=[callback])
    assert not hasattr(callback, "learn")


def callback_of(name, folder):
    kind = getattr(topk_lightning.callbacks, name)
    options = {"KAnnealing": {"at": (0, 0.3, 0.6)}, "TopKPredictionWriter": {"path": folder / "a.csv"}}
    return kind(**options.get(name, {}))


@pytest.mark.filterwarnings("ignore:(?s).*CUDA is not available:UserWarning")  # without a GPU
@pytest.mark.parametrize("kind", [TopKAccuracy, topk_lightning.TopKAccuracy])
def test_a_metric_as_loss_is_told_so_also_with_mixup_in_half_precision(kind):
    learn = learner(loss_func=kind(2), cbs=[vision.MixUp()]).to_fp16()
    with pytest.raises(TypeError, match="TopKAccuracy, which counts hits"):
        learn.fit(1)
