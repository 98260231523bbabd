"""The annealing callbacks beside what else people use: torch.compile, weight averaging, bf16, LightningCLI."""

import subprocess
import sys

import lightning.pytorch
import pytest
import pytorch_lightning
import torch
import yaml
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch._dynamo.testing import CompileCounter

from tests.callbacks.annealing import CLASSES, TensorTemperature, Watched, loader, trainer
from topk_lightning.callbacks import KAnnealing, TemperatureAnnealing
from topk_lightning.curricula import ModuleAttribute
from topk_lightning.losses import CalibratedTopKHingeLoss, SmoothTopKSVMLoss, TemperatureCrossEntropyLoss

pytestmark = [
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:.*number of training batches"),
    # The compiler looks at each tensor that it meets.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf Tensor"),
]

RAMP = [4 - 3 * step / 7 for step in range(8)]


def fit(module, *callbacks, **options):
    its = trainer(callbacks=[TemperatureAnnealing(schedule="linear"), *callbacks], max_epochs=2, **options)
    its.fit(module, loader(4), loader(1))
    return getattr(module, "_orig_mod", module)


@pytest.fixture
def _fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def losses(module):
    """A twin of the module that keeps the value of the loss at each training step."""

    class Keeps(type(module)):
        def training_step(self, batch, batch_idx):
            self.trained.append(getattr(self.loss, self.watched))
            loss = self.loss(self(batch[0]), batch[1])
            self.values.append(loss.detach())
            return loss

        def validation_step(self, batch, batch_idx):
            pass

    module.__class__, module.values = Keeps, []
    return module


@pytest.mark.usefixtures("_fresh_compiler")
def test_a_compiled_loss_sees_each_value_and_is_not_compiled_anew_for_it():
    eager, compiled, counter = losses(Watched()), losses(Watched()), CompileCounter()
    compiled.loss = torch.compile(TemperatureCrossEntropyLoss(), backend=counter)
    fit(eager)
    fit(compiled)
    assert compiled.trained == pytest.approx(RAMP)
    torch.testing.assert_close(compiled.values, eager.values)
    # Once for the first value, once more with the temperature as an input.
    assert counter.frame_count == 2
    assert compiled.loss._orig_mod.temperature == 1.0


@pytest.mark.usefixtures("_fresh_compiler")
def test_a_compiled_loss_with_a_buffer_is_compiled_once():
    eager, compiled, counter = losses(Watched(TensorTemperature("buffer"))), losses(Watched()), CompileCounter()
    compiled.loss = torch.compile(TensorTemperature("buffer"), backend=counter)
    fit(eager)
    fit(compiled)
    torch.testing.assert_close(compiled.values, eager.values)
    assert counter.frame_count == 1


@pytest.mark.usefixtures("_fresh_compiler")
@pytest.mark.parametrize("kind", ["plain", "buffer"])
def test_a_compiled_module_sees_each_value(kind):
    make = TemperatureCrossEntropyLoss if kind == "plain" else lambda: TensorTemperature("buffer")
    eager, module, counter = losses(Watched(make())), losses(Watched(make())), CompileCounter()
    fit(eager)
    fit(torch.compile(module, backend=counter))
    assert counter.frame_count > 0
    torch.testing.assert_close(module.values, eager.values)
    assert float(module.loss.temperature) == 1.0


@pytest.mark.usefixtures("_fresh_compiler")
@pytest.mark.parametrize("whole", [False, True], ids=["loss", "module"])
def test_a_compiled_loss_or_module_sees_each_k(whole):
    def train(module):
        annealing = KAnnealing(ladder=(5, 3, 1), at=(0, 0.3, 0.6), eval_value=2)
        trainer(callbacks=annealing, max_epochs=3).fit(module, loader(2), loader(1))

    make = lambda: losses(Watched(CalibratedTopKHingeLoss(k=5)))  # noqa: E731
    eager, compiled, counter = make(), make(), CompileCounter()
    eager.watched = compiled.watched = "k"
    train(eager)
    if whole:
        train(torch.compile(compiled, backend=counter))
    else:
        compiled.loss = torch.compile(compiled.loss, backend=counter)
        train(compiled)
    assert counter.frame_count > 0
    assert compiled.trained == eager.trained == [5, 5, 3, 3, 1, 1]
    torch.testing.assert_close(compiled.values, eager.values)


@pytest.mark.parametrize("kind", ["plain", "buffer", "parameter"])
@pytest.mark.parametrize("first", [True, False])
def test_weight_averaging_beside_it(kind, first):
    module = Watched(None if kind == "plain" else TensorTemperature(kind, 7.0))
    callbacks = [TemperatureAnnealing(schedule="linear"), EMAWeightAveraging(decay=0.5)]
    its = trainer(callbacks=callbacks if first else callbacks[::-1], max_epochs=2)
    its.fit(module, loader(4), loader(1))
    assert module.trained == pytest.approx(RAMP, rel=1e-6)
    assert module.validated == [1.0, 1.0]
    assert module.see() == 1.0


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("kind", ["plain", "buffer"])
def test_bf16(kind, precision):
    module = Watched(None if kind == "plain" else TensorTemperature(kind))
    fit(module, precision=precision)
    # A buffer is bf16 itself under bf16-true: 8 bits of mantissa.
    assert module.trained == pytest.approx(RAMP, rel=1e-6 if kind == "plain" or precision == "bf16-mixed" else 2**-8)


class CliModule(Watched):
    def __init__(self, k: int = 5):
        super().__init__(SmoothTopKSVMLoss(k=k))
        self.ks = []

    def training_step(self, batch, batch_idx):
        self.ks.append(self.loss.k)
        return super().training_step(batch, batch_idx)

    def see(self):
        return self.loss.temperature


class CliTwin(lightning.pytorch.LightningModule):
    """The same for lightning.pytorch."""

    def __init__(self, k: int = 5):
        super().__init__()
        self.network, self.loss = torch.nn.Linear(3, CLASSES), SmoothTopKSVMLoss(k=k)
        self.trained, self.ks, self.lr = [], [], 0.1

    def training_step(self, batch, batch_idx):
        self.trained.append(self.loss.temperature)
        self.ks.append(self.loss.k)
        return self.loss(self.network(batch[0]), batch[1])

    configure_optimizers = CliModule.configure_optimizers


CONFIG = {
    "max_epochs": 2,
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
SCHEDULE = {"class_path": "topk_lightning.schedules.Linear", "init_args": {"start": 4.0, "end": 1.0}}


# LightningCLI uses what jsonargparse calls deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("schedule", ["linear", SCHEDULE], ids=["name", "object"])
@pytest.mark.parametrize("single", [True, False], ids=["single", "list"])
@pytest.mark.parametrize(
    ("package", "kind"),
    [(pytorch_lightning, CliModule), (lightning.pytorch, CliTwin)],
    ids=["pytorch_lightning", "lightning"],
)
def test_lightning_cli_takes_them_from_a_yaml_file(tmp_path, monkeypatch, package, kind, single, schedule):
    monkeypatch.setattr("sys.argv", ["train"])
    temperature = {"class_path": "topk_lightning.callbacks.TemperatureAnnealing", "init_args": {"schedule": schedule}}
    ladder = {"class_path": "topk_lightning.callbacks.KAnnealing", "init_args": {"ladder": [5, 1], "at": [0, 0.5]}}
    callbacks = temperature if single else [temperature, ladder]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"trainer": {**CONFIG, "callbacks": callbacks}}))
    cli = __import__(f"{package.__name__}.cli", fromlist=["cli"]).LightningCLI
    run = cli(
        kind,
        args=["--config", str(tmp_path / "config.yaml")],
        run=False,
        save_config_callback=None,
        seed_everything_default=0,
    )
    run.trainer.fit(run.model, loader(2))
    assert run.model.trained == [4.0, 3.0, 2.0, 1.0]
    assert run.model.ks == ([5] * 4 if single else [5, 5, 1, 1])


def test_help_shows_the_options(capsys):
    from jsonargparse import ArgumentParser

    for kind, option in (
        (TemperatureAnnealing, "Literal['exponential', 'linear', 'cosine']"),
        (KAnnealing, "--annealing.ladder"),
    ):
        parser = ArgumentParser()
        parser.add_class_arguments(kind, "annealing")
        with pytest.raises(SystemExit):
            parser.parse_args(["--help"])
        assert option in " ".join(capsys.readouterr().out.split())


def test_setting_a_tensor_never_reads_it():
    # A tensor on "meta" has no value to read; reading one on an accelerator would wait for it.
    module = torch.nn.Module()
    module.loss = TensorTemperature("buffer").to("meta")
    target = ModuleAttribute("loss.temperature")
    target.check(module, "", whole=False)
    target.write(module, 2.0)
    target.write(module, target.read(module))
    assert module.loss.temperature.is_meta


WITHOUT_LIGHTNING = """
import sys
sys.modules["lightning"] = None
import pytorch_lightning, torch
from topk_lightning.callbacks import KAnnealing, TemperatureAnnealing
from topk_lightning.losses import SmoothTopKSVMLoss

class Module(pytorch_lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.network, self.loss, self.seen = torch.nn.Linear(3, 6), SmoothTopKSVMLoss(k=5), []

    def training_step(self, batch, batch_idx):
        self.seen.append((self.loss.temperature, self.loss.k))
        return self.loss(self.network(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

module = Module()
data = torch.utils.data.DataLoader([(torch.rand(3), 0)] * 2)
callbacks = [TemperatureAnnealing(schedule="linear"), KAnnealing(ladder=(5, 1), at=(0, 0.5))]
options = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
pytorch_lightning.Trainer(max_epochs=2, callbacks=callbacks, **options).fit(module, data)
print(module.seen)
"""


def test_the_package_lightning_is_not_needed():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_LIGHTNING], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[(4.0, 5), (3.0, 5), (2.0, 1), (1.0, 1)]"
