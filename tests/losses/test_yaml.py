"""Each loss by its class path and plain options, as a yaml file gives them."""

from __future__ import annotations

import pytest
from jsonargparse import ArgumentParser
from torch import nn

from tests.losses.cases import CASES
from tests.losses.cases_relaxed import RELAXED_CASES
from tests.losses.test_contract import make_batch


@pytest.mark.filterwarnings("ignore::DeprecationWarning:tests")  # jsonargparse renames its methods
@pytest.mark.parametrize("case", CASES + RELAXED_CASES, ids=lambda case: case.name)
def test_a_loss_comes_by_class_path_with_plain_options(case):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(nn.Module, "loss")
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
