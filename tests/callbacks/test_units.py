"""An annealing beside a loss whose units change with k says so, once; a k that the loss settles may be annealed."""

from __future__ import annotations

import re
import warnings

import pytest
import pytorch_lightning as pl
import torch

from topk_lightning.callbacks import KAnnealing, TemperatureAnnealing
from topk_lightning.losses import SmoothTopKSVMLoss


class Module(pl.LightningModule):
    def __init__(self, loss):
        super().__init__()
        self.network, self.loss = torch.nn.Linear(3, 7), loss

    def training_step(self, batch, batch_idx):
        return self.loss(self.network(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(loss, *callbacks):
    data = torch.utils.data.TensorDataset(torch.randn(4, 3), torch.arange(4))
    trainer = pl.Trainer(
        max_epochs=2,
        callbacks=list(callbacks),
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(Module(loss), torch.utils.data.DataLoader(data, batch_size=2))
    return [str(warning.message) for warning in caught if "units" in str(warning.message)]


@pytest.mark.parametrize(
    ("annealing", "name"), [(TemperatureAnnealing(4.0, 1.0), "temperature"), (KAnnealing((3, 1), (0, 0.5)), "k")]
)
def test_annealing_a_loss_in_published_units_warns_once(annealing, name):
    sentence = (
        f"loss.{name} must belong to a loss in units of the logits to be annealed by {name} alone, got "
        'SmoothTopKSVMLoss(units="published"), whose units change with k. Pass units="logits".'
    )
    (text,) = fit(SmoothTopKSVMLoss(units="published"), annealing)
    assert re.fullmatch(re.escape(sentence), text)


def test_units_of_the_logits_are_annealed_in_silence_from_a_k_that_was_settled():
    k = KAnnealing((3, 1), (0, 0.5))
    assert fit(SmoothTopKSVMLoss(), TemperatureAnnealing(4.0, 1.0), k) == []
    assert k.history == [3, 1]
