"""The annealing callbacks after a resume: wherever the checkpoint was saved, the values are those of an uninterrupted run."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint

from tests.callbacks.annealing import TwoOptimizers, Watched, loader, trainer
from topk_lightning.callbacks import KAnnealing, TemperatureAnnealing

pytestmark = [
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
    pytest.mark.filterwarnings("ignore:Training goes on within epoch:UserWarning"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:.*number of training batches"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`"),
]

BATCHES, EPOCHS = 5, 4
SCRIPT = (0.1, 0.95, 0.95, 0.95)


class Save(Callback):
    """Saves a checkpoint each time a hook is called; placed first, before other callbacks have done their part."""

    def __init__(self, hook, folder):
        self.count = 0

        def save(trainer, *_, **__):
            trainer.save_checkpoint(f"{folder}/{self.count:02}.ckpt")
            self.count += 1

        setattr(self, hook, save)


class Both(Watched):
    """A temperature, and two k that go by progress and by a metric; training writes all three down."""

    def __init__(self):
        super().__init__()
        self.by_progress, self.by_metric = torch.nn.Module(), torch.nn.Module()
        self.by_progress.k = self.by_metric.k = 5

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.trained[-1] = (self.trained[-1], self.by_progress.k, self.by_metric.k)
        return loss

    def on_validation_epoch_end(self):
        self.log("val/top5", SCRIPT[self.current_epoch])


def annealings(interval="step"):
    return [
        TemperatureAnnealing(schedule="linear", interval=interval),
        KAnnealing(at=(0, 0.5, 0.7), attribute="by_progress.k"),
        KAnnealing(ladder=(5, 3), monitor="val/top5", threshold=0.9, patience=2, attribute="by_metric.k"),
    ]


SAVERS = {
    "steps": lambda folder: ModelCheckpoint(folder, "{step:02}", every_n_train_steps=2, save_top_k=-1),
    "validation": lambda folder: ModelCheckpoint(folder, "{step:02}", save_top_k=-1),
    "epochs": lambda folder: ModelCheckpoint(folder, "{step:02}", save_top_k=-1, save_on_train_epoch_end=True),
    "batch start": lambda folder: Save("on_train_batch_start", folder),
    "batch end": lambda folder: Save("on_train_batch_end", folder),
}


SETTINGS = [(1, "step", "max_epochs"), (2, "step", "max_epochs"), (2, "step", "max_steps"), (1, "epoch", "max_epochs")]


@pytest.mark.parametrize(("window", "interval", "limit"), SETTINGS)
@pytest.mark.parametrize("saver", SAVERS)
def test_from_any_checkpoint_the_values_go_on_as_if_uninterrupted(tmp_path, saver, window, interval, limit):
    steps = EPOCHS * -(-BATCHES // window)
    options = {"accumulate_grad_batches": window, limit: EPOCHS if limit == "max_epochs" else steps}
    whole, its = Both(), annealings(interval)
    checkpointing = {"enable_checkpointing": isinstance(SAVERS[saver](tmp_path), ModelCheckpoint)}
    one = trainer(callbacks=[SAVERS[saver](tmp_path), *its], **options, **checkpointing)
    one.fit(whole, loader(BATCHES), loader(1))
    assert len(whole.trained) == EPOCHS * BATCHES
    assert [k for _, k, _ in whole.trained[::BATCHES]] == [5, 5, 3, 1]
    assert [k for _, _, k in whole.trained[::BATCHES]] == [5, 5, 5, 3]

    paths = sorted(tmp_path.glob("*.ckpt"))
    # One behind an epoch's last batch would do, but for its validation: Lightning leaves it out on resume, and k by metric
    # with it. All others are within an epoch or behind its validation.
    chosen = paths[:-1] if saver in ("validation", "epochs") else [paths[0], paths[len(paths) // 2], paths[-2]]
    for path in chosen:
        module, again = Both(), annealings(interval)
        trainer(callbacks=again, **options).fit(module, loader(BATCHES), loader(1), ckpt_path=path)
        left = len(module.trained)
        assert 0 < left < len(whole.trained) + (saver == "batch start"), path
        assert module.trained == whole.trained[-left:], path
        assert [one.history for one in again] == [one.history for one in its], path
        if saver in ("validation", "epochs"):
            assert left % BATCHES == 0
            assert torch.equal(module.network.weight, whole.network.weight), path


def test_the_last_batch_of_an_epoch_is_no_exception(tmp_path):
    whole, its = Watched(), TemperatureAnnealing(schedule="linear")
    trainer(callbacks=[Save("on_train_batch_end", tmp_path), its], max_epochs=2).fit(whole, loader(BATCHES))
    module, again = Watched(), TemperatureAnnealing(schedule="linear")
    trainer(callbacks=again, max_epochs=2).fit(module, loader(BATCHES), ckpt_path=tmp_path / f"{BATCHES - 1:02}.ckpt")
    assert module.trained == whole.trained[BATCHES:]
    assert again.history == its.history


def test_two_optimizers_resume_in_the_middle_of_an_epoch(tmp_path):
    def run(path=None, **options):
        module, annealing = TwoOptimizers(lambda batch: (0, 1)), TemperatureAnnealing(schedule="linear")
        its = trainer(callbacks=[annealing, Save("on_train_batch_end", tmp_path)], max_epochs=2, **options)
        its.fit(module, loader(BATCHES), ckpt_path=path)
        return module.trained, annealing.history

    whole, history = run()
    resumed, again = run(tmp_path / "02.ckpt")
    assert resumed == whole[3:]
    assert again == history == whole


def test_the_state_is_plain_data_under_a_key_of_its_own(tmp_path):
    annealing = TemperatureAnnealing()
    its = trainer(callbacks=[annealing, KAnnealing(at=(0, 0.5, 0.7), attribute="network.out_features")], max_steps=3)
    its.fit(Watched(), loader(3))
    its.save_checkpoint(tmp_path / "model.ckpt")
    states = torch.load(tmp_path / "model.ckpt", weights_only=True)["callbacks"]
    assert sorted(states) == [
        "KAnnealing(attribute='network.out_features')",
        "TemperatureAnnealing(attribute='loss.temperature')",
    ]
    assert states[annealing.state_key]["history"].tolist() == annealing.history


def test_a_checkpoint_without_the_callback_begins_afresh(tmp_path):
    first = trainer(max_epochs=2)
    first.fit(Watched(), loader(BATCHES))
    first.save_checkpoint(tmp_path / "model.ckpt")
    module, annealing = Watched(), TemperatureAnnealing(schedule="linear")
    trainer(callbacks=annealing, max_epochs=3).fit(module, loader(BATCHES), ckpt_path=tmp_path / "model.ckpt")
    assert module.trained == annealing.history == [4 - 3 * step / (BATCHES - 1) for step in range(BATCHES)]


def test_testing_a_checkpoint_does_not_touch_the_module(tmp_path):
    annealing = TemperatureAnnealing()
    its = trainer(callbacks=annealing, max_epochs=1)
    its.fit(Watched(), loader(BATCHES))
    its.save_checkpoint(tmp_path / "model.ckpt")
    module = Watched()
    module.loss.temperature = 7.0
    its.test(module, loader(1), ckpt_path=tmp_path / "model.ckpt", verbose=False)
    assert module.validated == [7.0]
    assert len(annealing.history) == BATCHES


KILLED = """
import os, signal, sys, json
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint
from tests.callbacks.test_annealing_resume import BATCHES, EPOCHS, Both, annealings, loader, trainer

class Kill(Callback):
    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.global_step == 2 * BATCHES + 3:
            os.kill(os.getpid(), signal.SIGKILL)

save = ModelCheckpoint(sys.argv[1], "{step:02}", every_n_train_steps=2, save_top_k=-1)
its = trainer(callbacks=[*annealings(), save, Kill()], max_epochs=EPOCHS, enable_checkpointing=True)
its.fit(Both(), loader(BATCHES), loader(1))
"""


def test_a_killed_training_resumes_exactly(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        env={"PATH": "", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    last = max(tmp_path.glob("*.ckpt"))
    assert last.name == f"step={2 * BATCHES + 2}.ckpt"
    module, whole, again, its = Both(), Both(), annealings(), annealings()
    trainer(callbacks=again, max_epochs=EPOCHS).fit(module, loader(BATCHES), loader(1), ckpt_path=last)
    trainer(callbacks=its, max_epochs=EPOCHS).fit(whole, loader(BATCHES), loader(1))
    assert module.trained == whole.trained[2 * BATCHES + 2 :]
    assert [one.history for one in again] == [one.history for one in its]
