"""Errors and Ctrl-C in a fit leave the value of training, and nothing else, behind."""

import pytest
import torch
from torch import nn

from tests.integrations.learners import ramp, vision, watched
from topk_lightning.integrations.fastai import KAnnealing, TemperatureAnnealing
from topk_lightning.losses import SmoothTopKSVMLoss


class Broken(nn.Module):
    """A loss that fails at one batch, counted over training and validation."""

    def __init__(self, at, error):
        super().__init__()
        self.inner, self.at, self.error, self.calls = SmoothTopKSVMLoss(k=4), at, error, 0

    def forward(self, logits, target):
        self.calls += 1
        if self.calls == self.at:
            raise self.error
        return self.inner(logits, target)


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()], ids=["error", "interrupt"])
@pytest.mark.parametrize(("at", "where"), [(6, "validation"), (2, "training")])
@pytest.mark.parametrize("per_fit", [False, True], ids=["of the Learner", "of the fit"])
def test_an_error_leaves_the_value_of_training_and_nothing_else(error, at, where, per_fit):
    loss = Broken(at, error)
    temperature = TemperatureAnnealing(schedule="linear", attribute="loss_func.inner.temperature", eval_value=9.0)
    both = [temperature, KAnnealing((3, 2), (0, 0.5), attribute="loss_func.inner.k", eval_value=1)]
    learn, watch = watched(*([] if per_fit else both), loss=loss)
    watch.loss_object = loss.inner
    with pytest.raises(type(error)):
        learn.fit(2, cbs=both if per_fit else None)
    assert (loss.inner.temperature, loss.inner.k) == (ramp(8)[3 if where == "validation" else 1], 3)
    watch.trained.clear()
    watch.validated.clear()
    learn.validate()
    assert watch.validated == [loss.inner.temperature] * 2
    # The same Learner goes on without them, and with them from the start.
    learn.remove_cbs(both)
    learn.fit(1)
    assert set(watch.trained + watch.validated) == {loss.inner.temperature}
    watch.trained.clear()
    learn.fit(1, cbs=both)
    assert watch.trained == ramp(4)


def test_data_that_fail_in_validation_leave_the_value_of_training():
    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            raise OSError("unreadable image")

    learn, _ = watched(TemperatureAnnealing(eval_value=9.0))
    learn.dls.loaders[1] = vision.DataLoader(Rows(), bs=2, num_workers=0)
    with pytest.raises(OSError, match="unreadable image"):
        learn.fit(1)
    assert learn.loss_func.temperature == 1.0
