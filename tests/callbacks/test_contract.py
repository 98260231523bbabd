"""What holds for every callback of the library, found by itself: in trainers of both names, whatever happens to them."""

import copy
import inspect
import pickle

import lightning.pytorch
import pytest
import pytorch_lightning
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

import topk_lightning.callbacks
from tests.callbacks.modules import CLASSES, MODULES, PACKAGES, loader, trainer
from topk_lightning.losses import SmoothTopKSVMLoss, TemperatureCrossEntropyLoss

#: How a callback is made, where its defaults are not enough. A new one joins by its name in the package.
MADE = {
    "CoarseToFine": lambda kind, folder: kind([0, 0, 1, 1, 2, 2]),
    "KAnnealing": lambda kind, folder: kind((3, 1), at=(0, 0.5)),
    "TopKPredictionWriter": lambda kind, folder: kind(folder / "predictions.csv", k=2),
    "TrainingTrace": lambda kind, folder: kind(str(folder / "epochs.csv")),
}
KINDS = {
    name: kind
    for name, kind in vars(topk_lightning.callbacks).items()
    if inspect.isclass(kind) and issubclass(kind, pytorch_lightning.Callback)
}

pytestmark = [
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning"),
]


@pytest.fixture(params=sorted(KINDS))
def make(request, tmp_path):
    """Return a function that makes a callback of each kind in turn."""
    kind = KINDS[request.param]
    return lambda: MADE.get(request.param, lambda kind, folder: kind())(kind, tmp_path)


def module_for(callback, package=pytorch_lightning, fails=False):
    class Logs(MODULES[package]):
        def training_step(self, batch, batch_idx):
            if fails and batch_idx == 1:
                raise ArithmeticError("broken step")
            loss = super().training_step(batch, batch_idx)
            self.log("train/loss", loss, on_step=False, on_epoch=True)
            return loss

        def predict_step(self, batch, batch_idx):
            return self(batch[0])

    module = Logs()
    module.class_names = list("abcdef")[:CLASSES]
    by_k = type(callback).__name__ == "KAnnealing"
    module.loss = SmoothTopKSVMLoss(k=3) if by_k else TemperatureCrossEntropyLoss()
    return module


def test_every_public_callback_is_found():
    assert set(KINDS) == {name for name in topk_lightning.callbacks.__all__ if not name.endswith("Error")}


@pytest.mark.parametrize("package", PACKAGES, ids=["pytorch_lightning", "lightning.pytorch"])
def test_it_goes_through_fit_test_and_predict(make, package):
    callback = make()
    module, its = module_for(callback, package), trainer(callback, package=package, max_epochs=2)
    its.fit(module, loader(8), loader(8))
    its.test(module, loader(8), verbose=False)
    its.predict(module, loader(8))


def test_a_fast_dev_run_leaves_no_file(make, tmp_path):
    callback = make()
    its = trainer(callback, fast_dev_run=2)
    its.fit(module_for(callback), loader(8), loader(8))
    assert not list(tmp_path.iterdir())


def test_its_state_is_plain_data_and_a_resumed_training_ends_with_the_same(make, tmp_path):
    callback = make()
    saved = ModelCheckpoint(tmp_path / "kept", filename="{epoch}", save_top_k=-1)
    whole = trainer(callback, saved, max_epochs=4, enable_checkpointing=True)
    whole.fit(module_for(callback), loader(8), loader(8))
    content = torch.load(tmp_path / "kept" / "epoch=1.ckpt", weights_only=True)
    assert all(key.startswith(type(callback).__name__) for key in content["callbacks"] if "ModelCheckpoint" not in key)
    again = make()
    trainer(again, max_epochs=4).fit(
        module_for(again), loader(8), loader(8), ckpt_path=tmp_path / "kept" / "epoch=1.ckpt"
    )
    assert comparable(again.state_dict()) == comparable(callback.state_dict())


def test_after_an_exception_the_next_training_is_as_if_it_were_the_first(make):
    broken, fresh = make(), make()
    with pytest.raises(ArithmeticError, match="broken step"):
        trainer(broken).fit(module_for(broken, fails=True), loader(8), loader(8))
    for callback in (broken, fresh):
        trainer(callback, max_epochs=2).fit(module_for(callback), loader(8), loader(8))
    assert comparable(broken.state_dict()) == comparable(fresh.state_dict())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda callback: pickle.loads(pickle.dumps(callback))])
def test_a_copy_trains_as_the_original(make, copied):
    callback = make()
    other = copied(callback)
    for one in (callback, other):
        trainer(one, max_epochs=2).fit(module_for(one), loader(8), loader(8))
    assert comparable(other.state_dict()) == comparable(callback.state_dict())


def test_both_packages_accept_it(make):
    assert isinstance(make(), pytorch_lightning.Callback)
    assert isinstance(make(), lightning.pytorch.Callback)


def comparable(state):
    """Return a state without the numbers of training itself, which differ where weights are drawn anew."""
    plain = {name: value.tolist() if isinstance(value, torch.Tensor) else value for name, value in state.items()}
    for row in plain.get("rows", ()):
        for name in [name for name in row if "/" in name or name == "note"]:
            del row[name]
    plain.pop("validated", None)
    return plain
