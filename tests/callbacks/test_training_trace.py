"""TrainingTrace: rows are what was logged, one an epoch, whatever happens to the training."""

import csv
import io
import json
import os
import subprocess
import sys

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.callbacks import ModelCheckpoint, TQDMProgressBar
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from topk_lightning import lightning as twin
from topk_lightning.callbacks import KAnnealing, TrainingTrace
from topk_lightning.classifier import TopKClassifier
from topk_lightning.losses import SmoothTopKSVMLoss, TemperatureCrossEntropyLoss

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*number of training batches:UserWarning"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch:UserWarning"),
    pytest.mark.filterwarnings("ignore:Training goes on within epoch:UserWarning"),
]


class Tiny(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.linear = nn.Linear(4, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


def loader(seed=0, rows=24):
    generator = torch.Generator().manual_seed(seed)
    data = TensorDataset(torch.randn(rows, 4, generator=generator), torch.randint(6, (rows,), generator=generator))
    return DataLoader(data, batch_size=8)


def classifier(module=TopKClassifier, **options):
    torch.manual_seed(0)
    return module(Tiny(6), 6, lr=0.1, lr_schedule="constant", **options)


def trainer(tmp_path, *callbacks, **options):
    defaults = {
        "default_root_dir": tmp_path,
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": 3,
        "logger": False,
        "enable_checkpointing": any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return pl.Trainer(callbacks=list(callbacks), **{**defaults, **options})


def read_csv(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


class Logged(pl.Callback):
    """What the trainer itself has at the end of each epoch."""

    def __init__(self) -> None:
        self.epochs = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.epochs.append({name: value.item() for name, value in trainer.callback_metrics.items()})


def test_rows_are_the_values_that_were_logged(tmp_path):
    trace, logged = TrainingTrace(), Logged()
    trainer(tmp_path, trace, logged).fit(classifier(), loader(), loader(1))
    assert [row["epoch"] for row in trace.rows] == [1, 2, 3]
    assert trace.columns == ["train/loss", "val/loss", "val/top1", "val/top3", "val/top5", "lr"]
    for row, epoch in zip(trace.rows, logged.epochs, strict=True):
        assert row["lr"] == 0.1
        for name in trace.columns[:-1]:
            assert row[name] == pytest.approx(epoch[name], rel=1e-6)


def test_temperature_and_k_of_the_loss_and_the_learning_rate_of_the_last_step_stand_in_the_row(tmp_path):
    class Schedule(pl.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            pl_module.loss.temperature = 4.0 - trainer.current_epoch
            pl_module.loss.k = 5 - trainer.current_epoch

        def on_train_epoch_end(self, trainer, pl_module):
            # What comes after the last step of an epoch belongs to the next.
            pl_module.loss.temperature = 99.0
            trainer.optimizers[0].param_groups[0]["lr"] /= 10

    trace, loss = TrainingTrace(), TemperatureCrossEntropyLoss()
    trainer(tmp_path, Schedule(), trace).fit(classifier(loss=loss), loader(), loader(1))
    shown = [(row["temperature"], row["k"], row["lr"]) for row in trace.rows]
    assert shown == [(4.0, 5, 0.1), (3.0, 4, 0.01), (2.0, 3, 0.001)]


@pytest.mark.parametrize("single", [False, True])
def test_trainers_of_both_packages_accept_it(tmp_path, single):
    import lightning.pytorch

    for package, module in ((pl, TopKClassifier), (lightning.pytorch, twin.TopKClassifier)):
        trace = TrainingTrace()
        assert isinstance(trace, package.Callback)
        fit = package.Trainer(
            callbacks=trace if single else [trace],
            accelerator="cpu",
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        fit.fit(classifier(module), loader(), loader(1))
        assert [row["epoch"] for row in trace.rows] == [1]


def test_it_works_where_lightning_is_not_installed():
    program = """
import sys
sys.modules["lightning"] = None  # as if it were not installed
from topk_lightning.callbacks import KAnnealing, TrainingTrace
import pytorch_lightning as pl
pl.Trainer(callbacks=TrainingTrace(), accelerator="cpu", logger=False, enable_checkpointing=False)
assert not any(name.startswith("lightning.pytorch") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=300)


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_file_holds_the_table_and_a_picture_stands_beside_it(tmp_path, suffix):
    path = tmp_path / "new" / f"epochs{suffix}"
    trace = TrainingTrace(str(path))
    trainer(tmp_path, trace).fit(classifier(), loader(), loader(1))
    if suffix == ".json":
        assert json.loads(path.read_text()) == trace.rows
    else:
        rows = read_csv(path)
        assert list(rows[0]) == ["epoch", *trace.columns, "note"]
        assert [{name: float(row[name]) for name in trace.columns} for row in rows] == [
            {name: row[name] for name in trace.columns} for row in trace.rows
        ]
    with Image.open(trace.picture) as picture:
        assert picture.format == "PNG"
        assert picture.width > 600
    assert sorted(file.name for file in path.parent.iterdir()) == sorted([path.name, "epochs.png"])


def test_files_are_written_once_an_epoch(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("topk_lightning.callbacks.training_trace.png_of", lambda figure: drawn.append(figure) or b"")
    trainer(tmp_path, TrainingTrace(str(tmp_path / "epochs.csv"))).fit(classifier(), loader(), loader(1))
    assert len(drawn) == 3


def test_files_are_renewed_after_each_epoch(tmp_path):
    class Seen(pl.Callback):
        def __init__(self) -> None:
            self.tables, self.pictures = [], []

        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch:
                self.tables.append(path.read_text().count("\n"))
                self.pictures.append(path.with_suffix(".png").read_bytes())

    path, seen = tmp_path / "epochs.csv", Seen()
    trainer(tmp_path, TrainingTrace(str(path)), seen).fit(classifier(), loader(), loader(1))
    assert seen.tables == [1 + 1, 1 + 2]
    assert seen.pictures[0] != seen.pictures[1]


def test_an_epoch_that_a_resume_left_without_an_end_stands_in_the_table_and_the_others_stay(tmp_path):
    """A checkpoint of an epoch's last step: Lightning goes on with the next epoch, without validating that one."""
    saved = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=3, save_top_k=-1, monitor=None)
    annealing, model = KAnnealing(ladder=(5, 3, 1), at=(0, 0.3, 0.6)), classifier(loss=SmoothTopKSVMLoss(5))
    trainer(tmp_path, TrainingTrace(), annealing, saved).fit(model, loader(), loader(1))
    whole = annealing.history
    trace, model = TrainingTrace(), classifier(loss=SmoothTopKSVMLoss(5))
    annealing = KAnnealing(ladder=(5, 3, 1), at=(0, 0.3, 0.6))
    checkpoint = next(file for file in tmp_path.iterdir() if file.name == "step=6.ckpt")
    trainer(tmp_path, trace, annealing).fit(model, loader(), loader(1), ckpt_path=checkpoint)
    assert [row["epoch"] for row in trace.rows] == [1, 2, 3]
    assert trace.rows[1] == {"epoch": 2, "note": "resumed after its last step, not validated"}
    assert [row.get("k") for row in trace.rows] == [5, None, 1]
    assert annealing.history == whole == [5, 3, 1]


def test_epoch_without_validation_shows_no_value_of_an_earlier_one(tmp_path):
    trace = TrainingTrace(str(tmp_path / "epochs.csv"))
    trainer(tmp_path, trace, max_epochs=4, check_val_every_n_epoch=2).fit(classifier(), loader(), loader(1))
    assert [row.get("val/top3") is None for row in trace.rows] == [True, False, True, False]
    assert [row["val/top3"] == "" for row in read_csv(tmp_path / "epochs.csv")] == [
        True,
        False,
        True,
        False,
    ]


def test_sanity_check_is_no_validation_of_an_epoch(tmp_path):
    trace = TrainingTrace()
    options = {"num_sanity_val_steps": 2, "check_val_every_n_epoch": 2, "max_epochs": 1}
    trainer(tmp_path, trace, **options).fit(classifier(), loader(), loader(1))
    assert trace.rows[0].get("val/loss") is None


@pytest.mark.parametrize(
    ("checkpoint", "options"),
    [
        ({"every_n_epochs": 1}, {}),
        ({"every_n_train_steps": 5}, {}),  # in the middle of the second epoch
        ({"save_on_train_epoch_end": False}, {}),  # after validation, before the end of the epoch
        ({"every_n_epochs": 1}, {"check_val_every_n_epoch": 2}),
    ],
    ids=["epoch end", "mid-epoch", "after validation", "validation every second epoch"],
)
def test_resumed_table_has_one_row_an_epoch(tmp_path, checkpoint, options):
    keep = ModelCheckpoint(tmp_path, "{epoch}-{step}", save_top_k=-1, **checkpoint)
    whole = TrainingTrace()
    trainer(tmp_path, whole, keep, max_epochs=4, **options).fit(classifier(), loader(), loader(1))
    checkpoints = sorted(tmp_path.glob("*.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    for start in checkpoints[:3]:
        resumed = TrainingTrace()
        trainer(tmp_path, resumed, max_epochs=4, **options).fit(classifier(), loader(), loader(1), ckpt_path=start)
        assert [row["epoch"] for row in resumed.rows] == [1, 2, 3, 4], start
        if "every_n_train_steps" in checkpoint:
            continue  # the trainer then measures the rest of the epoch only
        saved_in = torch.load(start, weights_only=True)["epoch"] + 1
        for got, expected in zip(resumed.rows, whole.rows, strict=True):
            # Saved between the validation and the end of an epoch: its training values are not the trainer's to restore.
            complete = got["epoch"] != saved_in or "train/loss" in got
            for name in (expected if complete else got).keys() - {"note"}:
                assert got[name] == pytest.approx(expected[name], rel=1e-5), (start, name)


class SaveAfterStep(pl.Callback):
    def __init__(self, path, step):
        self.path, self.step = path, step

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


@pytest.mark.parametrize(
    ("step", "epoch", "remark"),
    [
        (2, 1, "train: rows 17 to 24 of 24"),
        (3, 1, "resumed after its last step, not validated"),
        (5, 2, "train: rows 17 to 24 of 24"),
        (6, 2, "resumed after its last step, not validated"),
    ],
)
def test_an_epoch_that_was_resumed_in_part_or_lost_its_validation_says_so(tmp_path, step, epoch, remark):
    path = tmp_path / "step.ckpt"
    whole, resumed = TrainingTrace(), TrainingTrace(tmp_path / "table.csv")
    trainer(tmp_path, whole, SaveAfterStep(path, step)).fit(classifier(), loader(), loader(1))
    trainer(tmp_path, resumed).fit(classifier(), loader(), loader(1), ckpt_path=path)
    assert [row["epoch"] for row in resumed.rows] == [1, 2, 3]
    assert resumed.rows[epoch - 1]["note"].partition("; ")[0] == remark
    others = [row["note"] for row in (*whole.rows, *resumed.rows) if row is not resumed.rows[epoch - 1]]
    assert not any("train:" in note or "resumed" in note for note in others)
    for got, expected in zip(resumed.rows, whole.rows, strict=True):
        if got["epoch"] < epoch:
            assert got == expected
    assert len(read_csv(tmp_path / "table.csv")) == 3


def test_second_trainer_starts_afresh_and_the_same_trainer_goes_on(tmp_path):
    trace = TrainingTrace()
    first = trainer(tmp_path, trace, max_epochs=2)
    model = classifier()
    first.fit(model, loader(), loader(1))
    first.fit_loop.max_epochs = 3
    first.fit(model, loader(), loader(1))
    assert [row["epoch"] for row in trace.rows] == [1, 2, 3]
    trainer(tmp_path, trace, max_epochs=1).fit(classifier(), loader(), loader(1))
    assert [row["epoch"] for row in trace.rows] == [1]


def test_table_of_a_training_outlives_the_test_of_an_earlier_epoch(tmp_path):
    trace, keep = TrainingTrace(), ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1)
    fit = trainer(tmp_path, trace, keep)
    fit.fit(classifier(), loader(), loader(1))
    fit.test(classifier(), loader(), ckpt_path=tmp_path / "epoch=0.ckpt", verbose=False)
    assert [row["epoch"] for row in trace.rows] == [1, 2, 3]


def test_fast_dev_run_writes_no_file(tmp_path):
    trace = TrainingTrace(str(tmp_path / "epochs.csv"))
    trainer(tmp_path, trace, fast_dev_run=True).fit(classifier(), loader(), loader(1))
    assert len(trace.rows) == 1
    assert not list(tmp_path.glob("epochs*"))


def test_table_is_printed_once_an_epoch_below_one_heading(tmp_path, capsys):
    trainer(tmp_path, TrainingTrace(), TQDMProgressBar(), enable_progress_bar=True).fit(
        classifier(), loader(), loader(1)
    )
    # tqdm writes its bar with carriage returns.
    lines = [line.split() for line in capsys.readouterr().out.replace("\r", "\n").splitlines()]
    assert sum(line[:3] == ["epoch", "train", "loss"] for line in lines) == 1
    assert [line[0] for line in lines if len(line) >= 7 and line[0] in "123"] == ["1", "2", "3"]


def test_resumed_training_shows_the_epochs_before(tmp_path, capsys):
    keep = ModelCheckpoint(tmp_path, "last")
    trainer(tmp_path, TrainingTrace(), keep, max_epochs=2).fit(classifier(), loader(), loader(1))
    capsys.readouterr()
    trainer(tmp_path, TrainingTrace(), max_epochs=3).fit(
        classifier(), loader(), loader(1), ckpt_path=tmp_path / "last.ckpt"
    )
    shown = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert shown == ["epoch", "1", "2", "3"]


def test_module_that_logs_nothing_is_told_how(tmp_path):
    class Silent(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 6)

        def training_step(self, batch, batch_idx):
            return nn.functional.cross_entropy(self.linear(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    with pytest.warns(UserWarning, match="logged names must") as warned:
        trainer(tmp_path, TrainingTrace(), max_epochs=2).fit(Silent(), loader())
    (told,) = [str(w.message) for w in warned if "logged names" in str(w.message)]
    assert told == (
        'logged names must hold a loss or an accuracy that TrainingTrace knows, such as "train/loss" or "val/top5", '
        "got none. Log them with on_epoch=True."
    )


def test_monitor_decides_which_epoch_is_the_best(tmp_path):
    trace = TrainingTrace(monitor="val/loss")
    trainer(tmp_path, trace, max_epochs=4).fit(classifier(), loader(), loader(1))
    losses = [row["val/loss"] for row in trace.rows]
    best = [epoch for epoch in range(1, 4) if losses[epoch] < min(losses[:epoch])]
    assert [epoch for epoch in range(4) if "best so far" in trace.rows[epoch]["note"]] == best


def test_monitor_that_nobody_logs_is_told_after_the_first_validation(tmp_path):
    run = trainer(tmp_path, TrainingTrace(monitor="val/top4"), max_epochs=4, check_val_every_n_epoch=2)
    with pytest.warns(UserWarning, match="monitor") as warned:
        run.fit(classifier(), loader(), loader(1))
    (told,) = [str(w.message) for w in warned if "monitor" in str(w.message)]
    assert told == (
        "monitor must be one of the logged metrics (train/loss, train/top1, train/top3, train/top5, val/loss, val/top1, "
        "val/top3, val/top5), got 'val/top4'. Without it no epoch is remarked as the best."
    )


def test_value_of_the_end_of_an_epoch_stands_in_the_row_of_this_epoch(tmp_path):
    # Trainers call this hook of the module after that of the callbacks.
    class Late(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 6)

        def training_step(self, batch, batch_idx):
            return nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

        def validation_step(self, batch, batch_idx):
            self.log("val/loss", 1.0 + self.current_epoch)

        def on_train_epoch_end(self):
            self.log("train/loss", 4.0 - self.current_epoch)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    path = tmp_path / "epochs.csv"
    trace = TrainingTrace(path, patience=1)
    trainer(tmp_path, trace, max_epochs=3).fit(Late(), loader(), loader(1))
    assert [(row["train/loss"], row["val/loss"]) for row in trace.rows] == [(4.0, 1.0), (3.0, 2.0), (2.0, 3.0)]
    assert [row["note"] for row in trace.rows] == ["", "overfitting since 1", "overfitting since 1"]
    assert path.read_text().splitlines()[-1] == "3,2.0,3.0,0.1,overfitting since 1"


def test_loss_that_is_not_finite_is_remarked_and_json_stays_json(tmp_path):
    class Broken(nn.Module):
        reduction = "mean"

        def forward(self, logits, target):
            return logits.sum() * float("nan")

    trace = TrainingTrace(str(tmp_path / "epochs.json"))
    trainer(tmp_path, trace, max_epochs=1).fit(classifier(loss=Broken()), loader())
    assert trace.rows[0]["note"] == "train loss is not finite: training has diverged"

    def no_constant(name):
        raise AssertionError(name)

    assert json.loads((tmp_path / "epochs.json").read_text(), parse_constant=no_constant)[0]["train/loss"] is None


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"path": "trace.txt"}, ValueError, "path must end in .csv or .json, got 'trace.txt'."),
        ({"path": 3}, TypeError, "path must be a text or a Path, got int."),
        ({"patience": 0}, ValueError, "patience must be at least 1, got 0."),
    ],
)
def test_wrong_arguments(arguments, error, sentence):
    with pytest.raises(error) as raised:
        TrainingTrace(**arguments)
    assert str(raised.value) == sentence


def test_two_processes_make_one_table(tmp_path):
    program = f"""
import torch
from tests.callbacks.test_training_trace import TrainingTrace, classifier, loader, trainer
from pathlib import Path
if __name__ == "__main__":
    torch.set_num_threads(1)
    path = Path({str(tmp_path)!r})
    fit = trainer(path, TrainingTrace(str(path / "epochs.json")), max_epochs=2, devices=2, strategy="ddp")
    fit.fit(classifier(), loader(rows=22), loader(1))
"""
    script = tmp_path / "two.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": ".", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("train loss") == 1
    rows = json.loads((tmp_path / "epochs.json").read_text())
    assert [row["epoch"] for row in rows] == [1, 2]
    assert done.stdout.count(f"{rows[1]['val/loss']:.3f}") >= 1
    header = io.StringIO(done.stdout).readlines()
    assert sum(line.split()[:1] == ["2"] for line in header) == 1


@pytest.mark.filterwarnings("default")  # a notebook server's own
def test_notebook_shows_one_picture_that_is_renewed(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    code = """
import warnings
warnings.simplefilter("ignore")
from pathlib import Path
from tests.callbacks.test_training_trace import TrainingTrace, classifier, loader, trainer
trace = TrainingTrace()
warnings.simplefilter("default")
fit = trainer(Path("."), trace, enable_progress_bar=True)
warnings.simplefilter("ignore")
warnings.filterwarnings("default", message='install "ipywidgets"')
fit.fit(classifier(), loader(), loader(1))
"""
    cells = [nbformat.v4.new_code_cell(code), nbformat.v4.new_code_cell("trace")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=300).execute()
    outputs = notebook.cells[0].outputs
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1
    shown = "".join(output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs)
    assert shown.count("train loss") == 1
    assert "ipywidgets" not in shown
    (table,) = notebook.cells[1].outputs
    assert "<td" in table["data"]["text/html"]
    assert "data:image/png;base64," in table["data"]["text/html"]
