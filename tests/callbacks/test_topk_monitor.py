"""TopKMonitor on modules that know nothing of it, with real trainers."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.callbacks.modules import CLASSES, MODULES, PACKAGES, Plain, loader, logged, rows, trainer
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning.callbacks.topk_monitor import TopKMonitor
from topk_lightning.metrics import TopKAccuracy
from topk_lightning.ranking import in_topk

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning")


def truth(module, data, k):
    """Hits over all rows, one by one."""
    inputs, target = data.tensors
    module.eval()
    with torch.no_grad():
        return sum(bool(in_topk(module(x[None]), y[None], k)) for x, y in zip(inputs, target, strict=True)) / len(
            target
        )


class Returning(Plain):
    """The steps return what they computed."""

    def training_step(self, batch, batch_idx):
        logits = self(batch[0])
        return {"loss": self.loss(logits, batch[1]), "logits": logits.detach(), "target": batch[1]}

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        return {"preds": self(batch[0])}


@pytest.mark.parametrize("package", PACKAGES)
def test_it_counts_a_plain_module_as_a_single_object_in_both_trainers(package):
    module = MODULES[package]()
    run = package.Trainer(
        callbacks=TopKMonitor(k=(1, 3)), accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    (found,) = run.validate(module, loader(11), verbose=False)
    assert found == {
        "val/top1": pytest.approx(truth(module, rows(11), 1)),
        "val/top3": pytest.approx(truth(module, rows(11), 3)),
    }


def test_the_trained_module_and_its_random_numbers_are_as_without_it():
    def train(*callbacks):
        torch.manual_seed(3)
        module = Plain()
        trainer(*callbacks, max_epochs=2).fit(module, loader(16, shuffle=True), loader(8))
        return module

    alone, watched = train(), train(TopKMonitor(k=1, stages=("train", "val")))
    for name, value in alone.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name]), name
    assert watched.forwards == 2 * (4 + 2) * 2


def test_modes_that_the_module_chose_are_left_alone():
    class Frozen(Plain):
        def on_train_epoch_start(self):
            self.network[1].eval()

        def on_train_batch_end(self, *args):
            assert not self.network[1].training
            assert self.network[2].training

    module = Frozen()
    run = trainer(TopKMonitor(k=1, stages="train"))
    run.fit(module, loader(8))
    assert module.network[1].running_mean.tolist() == [0.0] * 8
    assert set(logged(run)) == {"train/top1"}


def test_the_forward_is_not_run_twice_where_the_step_returns_logits():
    module = Returning()
    run = trainer(TopKMonitor(k=(1, 2), stages=("train", "val")))
    run.fit(module, loader(12), loader(8))
    # 3 training batches, one look ahead in the first of them, 2 validation batches
    assert module.forwards == 3 + 1 + 2
    assert set(logged(run)) == {"train/top1", "train/top2", "val/top1", "val/top2"}
    assert logged(run)["val/top2"] == pytest.approx(truth(module, rows(8), 2))


def test_training_accuracy_is_that_of_the_weights_before_the_step():
    class Jump(Plain):
        def on_train_batch_end(self, *args):
            assert self.scores is not None

        def training_step(self, batch, batch_idx):
            self.scores = self.network.eval()(batch[0]).detach()
            self.network.train()
            return self.loss(self(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=100.0)

    module = Jump()
    run = trainer(TopKMonitor(k=2, stages="train"))
    run.fit(module, loader(8, batch_size=8))
    target = rows(8).tensors[1]
    assert logged(run)["train/top2"] == pytest.approx(in_topk(module.scores, target, 2).sum().item() / 8)


def test_training_steps_that_return_nothing_are_skipped_where_others_return_logits():
    class Sometimes(Returning):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch, batch_idx) if batch_idx != 1 else None

    run = trainer(TopKMonitor(k=CLASSES, stages="train"))
    with pytest.warns(UserWarning, match="returned `None`"):
        run.fit(Sometimes(), loader(12))
    assert logged(run) == {"train/top6": 1.0}


def test_a_function_reads_what_no_rule_finds():
    class Dicts(Plain):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            return {"out": self(batch["x"]), "loss": torch.tensor(0.0)}

    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return 9

        def __getitem__(self, index):
            x, y = rows(9)[index]
            return {"x": x, "y": y}

    module = Dicts()
    run = trainer(TopKMonitor(k=2, read=lambda outputs, batch: (outputs["out"], batch["y"])))
    (found,) = run.validate(module, DataLoader(Rows(), batch_size=4), verbose=False)
    assert found == {"val/top2": pytest.approx(truth(module, rows(9), 2))}
    assert module.forwards == 3 + 9

    run = trainer(TopKMonitor(k=2, read=lambda outputs, batch: outputs["out"]))
    with pytest.raises(CallbackError) as raised:
        run.validate(module, DataLoader(Rows(), batch_size=4), verbose=False)
    assert str(raised.value) == "read must return two tensors, logits and target, got a tensor of shape (4, 6)."


@pytest.mark.parametrize("stage", ["train", "val", "test"])
def test_a_module_that_cannot_be_read_is_an_error_that_shows_both_ways(stage):
    class Silent(Plain):
        def forward(self, inputs):
            raise RuntimeError("call network instead")

        def training_step(self, batch, batch_idx):
            return self.loss(self.network(batch[0]), batch[1])

        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            return None

        test_step = validation_step

    run = trainer(TopKMonitor(k=1, stages=[stage]))
    start = run.test if stage == "test" else run.fit
    with pytest.raises(CallbackError) as raised:
        start(Silent(), loader(8), *([loader(8)] if stage == "val" else []))
    step, returned = {
        "train": ("training_step", "a dict with 'loss'"),
        "val": ("validation_step", "nothing"),
        "test": ("test_step", "nothing"),
    }[stage]
    assert str(raised.value) == (
        f"{step} must return logits and target, or the batch be a pair (input, target) and the module return logits for "
        f"input, got {returned} returned for a list of 2 (call network instead). "
        f'Either end {step} with return {{"loss": loss, "logits": logits, "target": target}}, or pass '
        'TopKMonitor(read=lambda outputs, batch: (outputs["my_logits"], batch["my_target"])).'
    )
    assert isinstance(raised.value, ValueError)


def test_both_ways_of_the_error_work():
    class Odd(Plain):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            return {"my_logits": self.network(batch[0])[:, None], "logits": self.network(batch[0]), "target": batch[1]}

    module = Odd()
    ways = TopKMonitor(k=1), TopKMonitor(k=1, name="{stage}/own_top{k}", read=lambda o, b: (o["my_logits"][:, 0], b[1]))
    (found,) = trainer(*ways).validate(module, loader(8), verbose=False)
    assert found["val/top1"] == found["val/own_top1"] == pytest.approx(truth(module, rows(8), 1))


def test_several_dataloaders_are_counted_apart():
    module = Plain()
    sets = [rows(7, seed=1), rows(10, seed=2)]
    found = trainer(TopKMonitor(k=2)).validate(module, [DataLoader(one, batch_size=4) for one in sets], verbose=False)
    for index, (values, data) in enumerate(zip(found, sets, strict=True)):
        assert values == {f"val/top2/dataloader_idx_{index}": pytest.approx(truth(module, data, 2))}


def test_each_epoch_counts_for_itself_and_the_sanity_check_for_none():
    class Fixed(Plain):
        def on_train_epoch_end(self):
            seen.append(float(self.trainer.callback_metrics["val/top1"]))

    seen = []
    module = Fixed()
    run = trainer(TopKMonitor(k=1), max_epochs=3, num_sanity_val_steps=2)
    with torch.no_grad():
        module.network[3].bias.fill_(0)
    run.fit(module, loader(8), loader(9))
    assert len(seen) == 3
    assert seen[-1] == pytest.approx(truth(module, rows(9), 1))


def test_the_class_dimension_and_ignored_rows():
    class Words(Plain):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            return {"logits": batch[0], "target": batch[1]}

    scores = torch.randn(4, 3, 5)
    target = torch.tensor([[0, 1, -1], [2, 3, -1], [4, -1, -1], [0, 0, 0]])
    data = DataLoader(TensorDataset(scores, target), batch_size=3)
    (found,) = trainer(TopKMonitor(k=2, class_dim=-1, ignore_index=-1)).validate(Words(), data, verbose=False)
    kept = target >= 0
    expected = in_topk(scores[kept], target[kept], 2).sum().item() / 8
    assert found == {"val/top2": pytest.approx(expected)}


def test_its_forward_runs_in_the_precision_of_the_trainer():
    class Typed(Plain):
        def forward(self, inputs):
            out = self.network(inputs)
            kinds.add(out.dtype)
            return out

        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            return None

    kinds = set()
    trainer(TopKMonitor(k=1), precision="bf16-mixed").validate(Typed(), loader(8), verbose=False)
    assert kinds == {torch.bfloat16}


def test_without_a_k_it_is_one_and_five_or_all_classes():
    for classes, names in ((3, {"val/top1", "val/top3"}), (6, {"val/top1", "val/top5"})):
        its = trainer(TopKMonitor())
        data = DataLoader(rows(8, classes=classes), batch_size=4)
        its.fit(Plain(classes), data, data)
        assert names == {name for name in its.callback_metrics if "top" in name}


def test_a_k_beyond_the_classes_is_an_error_that_names_both():
    with pytest.raises(ValueError, match="k must be at most the number of classes") as raised:
        trainer(TopKMonitor(k=9)).validate(Plain(), loader(8), verbose=False)
    assert str(raised.value) == "k must be at most the number of classes (6), got 9. Use a smaller k."


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"stages": ("eval",)}, "stages must be one of 'train', 'val', 'test', got 'eval'."),
        ({"stages": []}, "stages must name at least one of 'train', 'val', 'test', got none."),
        ({"name": "top{k}"}, "name must hold {stage} and {k} and nothing else in braces, got 'top{k}'."),
        ({"name": "{stage}{k}{x}"}, "name must hold {stage} and {k} and nothing else in braces, got '{stage}{k}{x}'."),
        ({"k": (1, 1)}, "k must hold each k once, got (1, 1)."),
    ],
)
def test_options_are_checked(options, sentence):
    with pytest.raises(ValueError, match="must") as raised:
        TopKMonitor(**options)
    assert str(raised.value) == sentence


def test_it_stands_in_a_checkpoint_as_nothing(tmp_path):
    module = Plain()
    run = trainer(TopKMonitor(k=1, stages=("train", "val")), default_root_dir=tmp_path)
    run.fit(module, loader(8), loader(8))
    run.save_checkpoint(tmp_path / "model.ckpt")
    saved = torch.load(tmp_path / "model.ckpt", weights_only=True)
    assert set(saved["state_dict"]) == set(Plain().state_dict())
    assert not saved["callbacks"]


def test_a_module_may_hold_lazy_or_shared_parts():
    class Shared(Plain):
        def __init__(self):
            super().__init__()
            self.again = self.network
            self.extra = nn.Identity()

    run = trainer(TopKMonitor(k=1, stages="train"))
    run.fit(Shared(), loader(8))
    assert set(logged(run)) == {"train/top1"}


@pytest.mark.parametrize("stages", ["val", ("train", "val")])
def test_a_metric_as_the_modules_loss_is_told_so(stages):
    module = Plain()
    module.loss = TopKAccuracy(2)
    with pytest.raises(TypeError, match="TopKAccuracy, which counts hits"):
        trainer(TopKMonitor(stages=stages)).fit(module, loader(8), loader(8))
