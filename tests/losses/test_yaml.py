"""Each loss by its class path and plain options, as a yaml file gives them."""

from __future__ import annotations

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import nn

from tests.losses.all_cases import ALL_CASES
from tests.losses.test_contract import make_batch
from topk_lightning.losses import topk_cross_entropy_loss

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:tests")  # jsonargparse renames its methods


def loss_parser():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(nn.Module, "loss")
    return parser


@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.name)
def test_a_loss_comes_by_class_path_with_plain_options(case):
    parser = loss_parser()
    weight = [1.0, 2.0, 0.5, 3.0, 0.25, 1.0, 4.0]
    options = {name: list(value) if isinstance(value, tuple) else value for name, value in case.options.items()}
    described = {
        "class_path": f"topk_lightning.losses.{case.module.__name__}",
        "init_args": {**options, "weight": weight},
    }
    loss = parser.instantiate_classes(parser.parse_object({"loss": described})).loss
    assert type(loss) is case.module
    logits, target = make_batch(6, 7)
    assert loss(logits, target) == case.make(weight=weight)(logits, target)


def test_a_relaxation_of_ones_own_is_named_in_yaml():
    parser = loss_parser()
    path = "tests.losses.test_topk_cross_entropy.own_relaxation"
    described = {"class_path": "topk_lightning.losses.TopKCrossEntropyLoss", "init_args": {"relaxation": path}}
    saved = parser.dump(parser.parse_object({"loss": described}), skip_none=False)
    loss = parser.instantiate_classes(parser.parse_string(saved)).loss
    logits, target = make_batch(6, 7)
    assert loss(logits, target) == topk_cross_entropy_loss(logits, target, temperature=1.0)


@pytest.mark.parametrize("named", [True, False], ids=["options", "defaults"])
@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.name)
def test_what_a_fit_saves_of_a_loss_makes_the_same_loss_again(case, named):
    parser = loss_parser()
    options = {name: list(value) if isinstance(value, tuple) else value for name, value in case.options.items()}
    required = {name: options[name] for name in ("class_counts",) if name in options}
    described = {
        "class_path": f"topk_lightning.losses.{case.module.__name__}",
        "init_args": options if named else required,
    }
    saved = parser.dump(parser.parse_object({"loss": described}), skip_none=False)  # as Lightning saves config.yaml
    assert "Unable to serialize" not in saved
    loss = parser.instantiate_classes(parser.parse_string(saved)).loss
    expected = case.make() if named else case.module(**required)
    assert type(loss) is case.module
    logits, target = make_batch(6, 7)
    values = []
    for one in (loss, expected):
        torch.manual_seed(0)
        values.append(one(logits, target))
    assert values[0] == values[1]
    assert parser.dump(parser.parse_string(saved), skip_none=False) == saved
