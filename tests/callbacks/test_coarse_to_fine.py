"""CoarseToFine: which loss the module computes when, with real trainers."""

import functools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.callbacks.modules import CLASSES, MODULES, PACKAGES, Plain, loader, logged, rows, trainer
from topk_lightning import losses as our_losses
from topk_lightning.callbacks.coarse_to_fine import CoarseToFine
from topk_lightning.callbacks.k_annealing import KAnnealing
from topk_lightning.callbacks.temperature_annealing import TemperatureAnnealing
from topk_lightning.classifier import TopKClassifier
from topk_lightning.hierarchy import coarsen_logits, coarsen_target
from topk_lightning.ranking import in_topk
from topk_lightning.schedules import Constant, Linear, Steps

GROUPS = [0, 0, 1, 1, 2, 2]

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning")


class Recorder:
    """A module that keeps the logits, targets and losses of its training steps."""

    def training_step(self, batch, batch_idx):
        logits = self(batch[0])
        loss = self.loss(logits, batch[1])
        self.steps = [*getattr(self, "steps", []), (logits.detach(), batch[1], loss.item())]
        return loss

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.log("val/loss", self.loss(self(batch[0]), batch[1]), sync_dist=True)


def recorder(package=PACKAGES[0], loss=None, classes=CLASSES):
    module = type("Recording", (Recorder, MODULES[package]), {})(classes)
    if loss is not None:
        module.loss = loss
    return module


def blended(loss, weight, logits, target, k=None):
    coarse = loss(coarsen_logits(logits, GROUPS), coarsen_target(target, GROUPS))
    return weight * coarse.item() + (1 - weight) * loss(logits, target).item()


@pytest.mark.parametrize("package", PACKAGES)
def test_the_first_phase_learns_groups_and_the_second_classes(package):
    module = recorder(package)
    trainer(CoarseToFine(GROUPS, hold_fraction=0.5), package=package, max_epochs=2).fit(module, loader(12))
    weights = [1, 1, 1, 0, 0, 0]  # progress 0, 1/5, 2/5, 3/5, 4/5, 1
    assert len(module.steps) == 6
    for weight, (logits, target, loss) in zip(weights, module.steps, strict=True):
        assert loss == pytest.approx(blended(F.cross_entropy, weight, logits, target), rel=1e-6)


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({"schedule": "linear", "hold_fraction": 0.25}, [1, 1, 2 / 3, 1 / 3, 0]),
        ({"schedule": "linear", "hold_fraction": 0.25, "finish_fraction": 0.75}, [1, 1, 1 / 2, 0, 0]),
        ({"schedule": "cosine", "hold_fraction": 0.0}, [1, (1 + 0.5**0.5) / 2, 1 / 2, (1 - 0.5**0.5) / 2, 0]),
        ({"schedule": Steps((1, 0.25, 0), (0, 0.5, 0.9))}, [1, 1, 0.25, 0.25, 0]),
        ({"schedule": lambda progress: 1 - progress**2}, [1, 15 / 16, 3 / 4, 7 / 16, 0]),
    ],
)
def test_the_schedule_blends_the_two(options, weights):
    module, callback = recorder(), CoarseToFine(GROUPS, **options)
    trainer(callback).fit(module, loader(20))
    for step, (weight, (logits, target, loss)) in enumerate(zip(weights, module.steps, strict=True)):
        assert callback.value_at(step / 4) == pytest.approx(weight, abs=1e-12)
        assert loss == pytest.approx(blended(F.cross_entropy, weight, logits, target), rel=1e-6)


OURS = [
    our_losses.CalibratedTopKHingeLoss,
    our_losses.GroupedTopKCrossEntropyLoss,
    functools.partial(our_losses.NoisedTopKHingeLoss, noise=0.0),
    our_losses.SmoothTopKSVMLoss,
    our_losses.SoftTopKLoss,
    our_losses.TopKCrossEntropyLoss,
    our_losses.TruncatedTopKEntropyLoss,
]


@pytest.mark.parametrize("make", OURS)
def test_it_works_with_every_loss_of_ours_and_k_leaves_a_group_to_learn(make):
    by_chance = make is our_losses.TopKCrossEntropyLoss
    options = {"k_probabilities": (0.25, 0.25, 0.25, 0.25)} if by_chance else {"k": 4}
    fewer = {"k_probabilities": (0.25, 0.75)} if by_chance else {"k": 2}  # min(k, 3 groups − 1)
    loss = make(**options)
    module = recorder(loss=loss)
    trainer(CoarseToFine(GROUPS, schedule=Constant(0.5))).fit(module, loader(8))
    for logits, target, value in module.steps:
        coarse = make(**fewer)(coarsen_logits(logits, GROUPS), coarsen_target(target, GROUPS)).item()
        fine = make(**options)(logits, target).item()
        assert coarse > 0 or by_chance
        assert value == pytest.approx(0.5 * coarse + 0.5 * fine, rel=1e-5)
    assert loss.extra_repr() == make(**options).extra_repr()


def test_other_losses_and_plain_functions():
    class Own:
        temperature = 3.0

        def __call__(self, logits, target):
            return F.cross_entropy(logits / self.temperature, target)

    class Method(type(recorder())):
        def loss(self, logits, target):
            return F.cross_entropy(logits, target)

        def __init__(self):
            super().__init__()
            del self.loss

    partial = functools.partial(F.cross_entropy, label_smoothing=0.1)
    for loss in (F.cross_entropy, partial, Own(), nn.MultiMarginLoss(), nn.CrossEntropyLoss(label_smoothing=0.2)):
        module = recorder()
        del module.loss
        module.loss = loss
        trainer(CoarseToFine(GROUPS, schedule=Constant(0.25))).fit(module, loader(4))
        assert module.loss is loss
        logits, target, value = module.steps[0]
        assert value == pytest.approx(blended(loss, 0.25, logits, target), rel=1e-6)
    module = Method()
    trainer(CoarseToFine(GROUPS, schedule=Constant(1.0))).fit(module, loader(4))
    assert "loss" not in vars(module)
    assert module.steps[0][2] == pytest.approx(blended(F.cross_entropy, 1, *module.steps[0][:2]), rel=1e-6)


def test_soft_targets_are_summed_and_ignored_rows_stay_ignored():
    class Mixup(type(recorder())):
        def training_step(self, batch, batch_idx):
            hot = F.one_hot(batch[1], CLASSES).float()
            return super().training_step((batch[0], 0.7 * hot + 0.3 * hot.flip(0)), batch_idx)

    class Ignoring(type(recorder())):
        def training_step(self, batch, batch_idx):
            target = batch[1].clone()
            target[0] = 255
            return super().training_step((batch[0], target), batch_idx)

    module = Mixup()
    run = trainer(CoarseToFine(GROUPS, schedule=Constant(1.0), k=(1, 9)[:1]))
    run.fit(module, loader(4))
    logits, target, value = module.steps[0]
    groups = torch.stack([target[:, ::2][:, i] + target[:, 1::2][:, i] for i in range(3)], 1)
    assert value == pytest.approx(F.cross_entropy(coarsen_logits(logits, GROUPS), groups).item(), rel=1e-6)

    module = Ignoring()
    module.loss = nn.CrossEntropyLoss(ignore_index=255)
    run = trainer(CoarseToFine(GROUPS, schedule=Constant(1.0), k=CLASSES))
    run.fit(module, loader(4))
    logits, target, value = module.steps[0]
    expected = F.cross_entropy(coarsen_logits(logits[1:], GROUPS), coarsen_target(target[1:], GROUPS)).item()
    assert value == pytest.approx(expected, rel=1e-6)
    assert logged(run)["train/fine_top6"] == 1.0


def test_validation_is_the_fine_loss_and_both_accuracies_are_logged():
    module = recorder()
    seen = []

    class Watch(type(module)):
        def on_train_epoch_end(self):
            self.eval()
            inputs, target = rows(9).tensors
            logits = self.network(inputs)
            coarse, groups = coarsen_logits(logits, GROUPS), coarsen_target(target, GROUPS)
            seen.append(
                {
                    "val/loss": F.cross_entropy(logits, target).item(),
                    "val/fine_top1": in_topk(logits, target, 1).double().mean().item(),
                    "val/fine_top5": in_topk(logits, target, 5).double().mean().item(),
                    "val/coarse_top1": in_topk(coarse, groups, 1).double().mean().item(),
                    "val/coarse_top3": 1.0,
                }
            )
            found = logged(self.trainer)
            assert {name: found[name] for name in seen[-1]} == pytest.approx(seen[-1], rel=1e-5)
            self.train()

    run = trainer(CoarseToFine(GROUPS, hold_fraction=0.5), max_epochs=2, num_sanity_val_steps=2)
    run.fit(Watch(), loader(8), loader(9))
    assert len(seen) == 2
    names = {f"{stage}/{level}" for stage in ("train", "val") for level in ("fine_top1", "coarse_top1", "coarse_top3")}
    assert set(logged(run)) == names | {"train/fine_top5", "val/fine_top5", "val/loss", "coarse_weight"}
    assert logged(run)["coarse_weight"] == 0.0


def test_the_loss_is_given_back_also_after_an_exception():
    class Breaks(type(recorder())):
        def training_step(self, batch, batch_idx):
            if batch_idx == 1:
                raise RuntimeError("broken")
            return super().training_step(batch, batch_idx)

    for module in (recorder(), Breaks()):
        loss, before = module.loss, dict(vars(module.loss))
        names = list(module.state_dict())
        run = trainer(CoarseToFine(GROUPS))
        if isinstance(module, Breaks):
            with pytest.raises(RuntimeError, match="broken"):
                run.fit(module, loader(8))
        else:
            run.fit(module, loader(8))
        assert module.loss is loss
        assert {name: value for name, value in vars(loss).items() if name != "training"} == {
            name: value for name, value in before.items() if name != "training"
        }
        assert list(module.state_dict()) == names
        logits, target = torch.randn(3, CLASSES), torch.tensor([0, 1, 2])
        assert module.loss(logits, target) == F.cross_entropy(logits, target)


def test_outside_fit_nothing_is_touched():
    run = trainer(CoarseToFine(GROUPS))
    (found,) = run.validate(recorder(), loader(8), verbose=False)
    assert set(found) == {"val/loss"}


def test_a_step_is_counted_once_in_an_accumulation_window():
    module = recorder()
    callback = CoarseToFine(GROUPS, schedule=Linear(1.0, 0.0))
    trainer(callback, accumulate_grad_batches=2).fit(module, loader(24))  # 6 batches, 3 steps
    for weight, (logits, target, loss) in zip([1, 1, 1 / 2, 1 / 2, 0, 0], module.steps, strict=True):
        assert loss == pytest.approx(blended(F.cross_entropy, weight, logits, target), rel=1e-6)


def test_two_optimizers_and_manual_optimization_do_not_run_it_faster():
    class Manual(type(recorder())):
        automatic_optimization = False

        def training_step(self, batch, batch_idx):
            for optimizer in self.optimizers():
                optimizer.zero_grad()
            self.manual_backward(super().training_step(batch, batch_idx))
            for optimizer in self.optimizers():
                optimizer.step()

        def configure_optimizers(self):
            return [torch.optim.SGD(part.parameters(), lr=0.1) for part in (self.network[0], self.network[3])]

    module = Manual()
    trainer(CoarseToFine(GROUPS, schedule=Linear(1.0, 0.0))).fit(module, loader(20))
    for step, (logits, target, loss) in enumerate(module.steps):
        assert loss == pytest.approx(blended(F.cross_entropy, 1 - step / 4, logits, target), rel=1e-6)


def test_temperature_k_and_groups_are_annealed_together():
    class Cooling(type(recorder())):
        def training_step(self, batch, batch_idx):
            used.append(self.loss.temperature)
            return super().training_step(batch, batch_idx)

    used = []
    module = Cooling()
    module.loss = our_losses.TemperatureCrossEntropyLoss()
    cooling = TemperatureAnnealing(4.0, 1.0, schedule="linear")
    trainer(CoarseToFine(GROUPS, schedule=Linear(1.0, 0.0)), cooling).fit(module, loader(16))
    assert used == pytest.approx([4, 3, 2, 1])
    for step, (logits, target, value) in enumerate(module.steps):
        loss = our_losses.TemperatureCrossEntropyLoss(used[step])
        assert value == pytest.approx(blended(loss, 1 - step / 3, logits, target), rel=1e-5)

    module = recorder(loss=our_losses.SmoothTopKSVMLoss(k=5))
    callbacks = [CoarseToFine(GROUPS, schedule=Constant(0.5)), KAnnealing(ladder=(5, 1), at=(0, 0.5))]
    trainer(*callbacks, max_epochs=2).fit(module, loader(4))
    for k, (logits, target, value) in zip((5, 1), module.steps, strict=True):
        fine = our_losses.SmoothTopKSVMLoss(k)(logits, target)
        coarse = our_losses.SmoothTopKSVMLoss(min(k, 2))(coarsen_logits(logits, GROUPS), coarsen_target(target, GROUPS))
        assert value == pytest.approx(float(fine + coarse) / 2, rel=1e-5)


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended:UserWarning")
@pytest.mark.parametrize("stop", [3, 4, 6])
def test_it_resumes_exactly_within_an_epoch_and_at_its_end(tmp_path, stop):
    class Saving(type(recorder())):
        def on_train_batch_end(self, *args):
            if self.trainer.global_step == stop and stop % 3:
                self.trainer.save_checkpoint(tmp_path / "stop.ckpt")

        def on_train_epoch_end(self):
            if self.trainer.global_step == stop:
                self.trainer.save_checkpoint(tmp_path / "stop.ckpt")

    whole, resumed = Saving(), recorder()
    for module in (whole, resumed):
        module.network[2] = nn.Identity()  # a checkpoint does not hold the random numbers of dropout
        path = tmp_path / "stop.ckpt" if module is resumed else None
        trainer(CoarseToFine(GROUPS, schedule=Linear(1.0, 0.0)), max_epochs=3).fit(module, loader(12), ckpt_path=path)
    for step, (logits, target, loss) in zip(range(stop, 9), resumed.steps, strict=True):
        assert loss == pytest.approx(blended(F.cross_entropy, 1 - step / 8, logits, target), rel=1e-6)
    if stop % 3 == 0:
        for name, value in whole.state_dict().items():
            assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_checkpoint_loads_without_the_callback(tmp_path):
    model = TopKClassifier("small_cnn", CLASSES, loss=our_losses.SmoothTopKSVMLoss(k=2))
    data = torch.utils.data.TensorDataset(torch.rand(4, 3, 16, 16), torch.arange(4))
    run = trainer(CoarseToFine(GROUPS))
    run.fit(model, torch.utils.data.DataLoader(data, batch_size=2))
    run.save_checkpoint(tmp_path / "model.ckpt")
    loaded = TopKClassifier.load_from_checkpoint(tmp_path / "model.ckpt")
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(loaded.eval()(images), model.eval()(images))
    assert torch.load(tmp_path / "model.ckpt", weights_only=True)["callbacks"].keys() == {
        "CoarseToFine(attribute='loss')"
    }


def test_another_fit_begins_afresh():
    module, run = recorder(), None
    callback = CoarseToFine(GROUPS, schedule=Linear(1.0, 0.0))
    for _ in range(2):
        run = trainer(callback)
        module.steps = []
        run.fit(module, loader(12))
        for step, (logits, target, loss) in enumerate(module.steps):
            assert loss == pytest.approx(blended(F.cross_entropy, 1 - step / 2, logits, target), rel=1e-6)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_a_compiled_module_and_a_compiled_loss():
    module = recorder()
    module.loss = torch.compile(nn.CrossEntropyLoss(), backend="eager")
    trainer(CoarseToFine(GROUPS, hold_fraction=0.5)).fit(module, loader(16))
    for weight, (logits, target, loss) in zip([1, 1, 0, 0], module.steps, strict=True):
        assert loss == pytest.approx(blended(F.cross_entropy, weight, logits, target), rel=1e-6)

    class Keeping(Plain):
        def training_step(self, batch, batch_idx):
            logits = self(batch[0])
            return {"loss": self.loss(logits, batch[1]), "logits": logits.detach()}

        def on_train_batch_end(self, outputs, batch, batch_idx):
            kept.append((outputs["logits"], batch[1], outputs["loss"].item()))

    kept = []
    compiled = torch.compile(Keeping(), backend="eager")
    trainer(CoarseToFine(GROUPS, hold_fraction=0.5)).fit(compiled, loader(16))
    for weight, (logits, target, loss) in zip([1, 1, 0, 0], kept, strict=True):
        assert loss == pytest.approx(blended(F.cross_entropy, weight, logits, target), rel=1e-6)


def test_half_precision_and_one_step_and_fast_dev_run():
    module = recorder()
    trainer(CoarseToFine(GROUPS, hold_fraction=0.5), precision="bf16-mixed").fit(module, loader(8))
    logits, target, value = module.steps[0]
    assert logits.dtype == torch.bfloat16
    assert value == pytest.approx(blended(F.cross_entropy, 1, logits, target), rel=1e-2)
    for options in ({"fast_dev_run": True}, {"max_steps": 1}):
        module = recorder()
        trainer(CoarseToFine(GROUPS), **options).fit(module, loader(8))
        ((logits, target, value),) = module.steps
        assert value == pytest.approx(blended(F.cross_entropy, 1, logits, target), rel=1e-6)
