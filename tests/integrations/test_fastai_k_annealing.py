"""KAnnealing in real Learners: by progress, and by the columns of the recorder."""

import pytest
import torch

from tests.integrations.learners import Watch, ramp, vision, watched
from topk_lightning.integrations.fastai import KAnnealing, TemperatureAnnealing, TopKAccuracy
from topk_lightning.losses import SmoothTopKSVMLoss


def test_k_goes_down_by_progress_together_with_the_temperature():
    loss = SmoothTopKSVMLoss(k=4)
    k = KAnnealing((4, 3, 1), (0, 0.5, 0.8))
    learn, watch = watched(TemperatureAnnealing(schedule="linear"), k, name="k", loss=loss, batches=2)
    temperature = Watch(loss)
    learn.add_cb(temperature)
    learn.fit(10)
    assert k.history == [4] * 5 + [3] * 3 + [1] * 2
    assert watch.trained == [value for value in k.history for _ in range(2)]
    assert temperature.trained == ramp(20)
    assert set(watch.validated) == {1}
    assert set(temperature.validated) == {1.0}


class Dictated(vision.Metric):
    """A metric that takes the values it is told, epoch by epoch."""

    def __init__(self, values):
        self.values, self.epoch = values, -1

    def reset(self):
        self.epoch += 1

    @property
    def value(self):
        return torch.tensor(self.values[self.epoch])

    @property
    def name(self):
        return "top5"


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        # 0.9 in float32 is less than 0.9, and yet 9 of 10 hits reach it.
        ([0.1, 0.9, 0.2, 0.95, 0.1], {}, [4, 4, 2, 2, 1]),
        ([0.9, 0.1, 0.9, 0.9, 0.9, 0.9], {"patience": 2}, [4, 4, 4, 4, 2, 2]),
        ([0.95, 0.5, 0.8, 0.0], {"mode": "min"}, [4, 4, 2, 1]),
        ([float("nan"), 0.9, 0.0], {}, [4, 4, 2]),
    ],
    ids=["max", "patience", "min", "nan"],
)
def test_k_goes_down_as_a_metric_gets_better(values, options, expected):
    annealing = KAnnealing((4, 2, 1), monitor="top5", threshold=0.9, **options)
    learn, watch = watched(annealing, name="k", loss=SmoothTopKSVMLoss(k=4), metrics=[Dictated(values)], batches=1)
    learn.fit(len(values))
    assert annealing.history == watch.trained == expected


def test_k_follows_a_real_metric():
    annealing = KAnnealing((3, 1), monitor="top2", threshold=0.0)
    learn, watch = watched(annealing, name="k", loss=SmoothTopKSVMLoss(k=3), metrics=[TopKAccuracy(2)])
    learn.fit(3)
    assert annealing.history == [3, 1, 1]
    assert set(watch.validated) == {1}
