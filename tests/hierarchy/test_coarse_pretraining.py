"""load_pretrained: what a fine model takes from a coarse one."""

import pytest
import torch
from torch import nn

from tests.callbacks.modules import CLASSES, Plain, loader, network, trainer
from topk_lightning.classifier import TopKClassifier
from topk_lightning.hierarchy import coarsen_logits, load_pretrained

GROUPS = [0, 1, 1, 2, 2, 2]

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning")


class Coarse(Plain):
    def __init__(self):
        super().__init__(classes=3)

    def training_step(self, batch, batch_idx):
        return self.loss(self(batch[0]), torch.tensor(GROUPS)[batch[1]])


@pytest.fixture
def coarse(tmp_path):
    module = Coarse()
    run = trainer()
    run.fit(module, loader(8))
    run.save_checkpoint(tmp_path / "coarse.ckpt")
    return module.eval(), tmp_path / "coarse.ckpt"


def test_the_fine_model_begins_with_the_group_probabilities_of_the_coarse_one(coarse):
    module, path = coarse
    fine = Plain()
    report = load_pretrained(fine, path, GROUPS)
    inputs = torch.randn(5, 4)
    logits = fine.eval()(inputs)
    torch.testing.assert_close(coarsen_logits(logits, GROUPS), module(inputs))
    assert torch.equal(fine.network[3].weight, module.network[3].weight[torch.tensor(GROUPS)])
    sizes = torch.tensor([1.0, 2, 2, 3, 3, 3])
    torch.testing.assert_close(fine.network[3].bias, module.network[3].bias[torch.tensor(GROUPS)] - sizes.log())
    assert report.initialised == ["network.3.weight", "network.3.bias"]
    assert report.loaded == [name for name in module.state_dict() if not name.startswith("network.3")]
    assert report.skipped == {}
    assert str(report).splitlines()[0] == "loaded 7, initialised 2, skipped 0"
    assert "  initialised  network.3.weight" in str(report)


@pytest.mark.parametrize("fine", ["network", "module"])
def test_names_may_differ_by_one_part_in_front(coarse, tmp_path, fine):
    module, path = coarse
    if fine == "module":
        path = tmp_path / "state.pt"
        torch.save(module.network.state_dict(), path)
    model = network(seed=1) if fine == "network" else Plain()
    report = load_pretrained(model, path, GROUPS)
    head = model[3] if fine == "network" else model.network[3]
    assert torch.equal(head.weight, module.network[3].weight[torch.tensor(GROUPS)])
    assert not report.skipped


def test_what_does_not_fit_is_said(coarse):
    _, path = coarse
    model = nn.Sequential(
        nn.Linear(4, 9), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, CLASSES, bias=False), nn.Linear(6, 6)
    )
    before = model[0].weight.clone()
    report = load_pretrained(model, path, GROUPS)
    assert report.skipped == {
        "0.weight": "it has shape (8, 4), in the fine model (9, 4)",
        "0.bias": "it has shape (8,), in the fine model (9,)",
        "3.bias": "the fine model has no such weight",
        "4.weight": "the checkpoint has no such weight, it stayed as it was",
        "4.bias": "the checkpoint has no such weight, it stayed as it was",
    }
    assert torch.equal(model[0].weight, before)
    assert "  skipped      0.bias: it has shape (8,), in the fine model (9,)" in str(report).splitlines()


def test_class_weights_of_a_loss_are_not_rows_of_a_layer(tmp_path):
    coarse, fine = Coarse(), Plain()
    coarse.loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2, 3]))
    fine.loss = nn.CrossEntropyLoss(weight=torch.ones(CLASSES))
    torch.save(coarse.state_dict(), tmp_path / "coarse.pt")
    report = load_pretrained(fine, tmp_path / "coarse.pt", GROUPS)
    assert report.skipped == {"loss.weight": "it has shape (3,), in the fine model (6,)"}
    assert fine.loss.weight.tolist() == [1.0] * CLASSES


def test_classifiers_by_their_class_names(tmp_path):
    coarse = TopKClassifier("small_cnn", class_names=["cat", "dog"])
    run = trainer()
    images = torch.utils.data.TensorDataset(torch.rand(2, 3, 16, 16), torch.tensor([0, 1]))
    run.fit(coarse, torch.utils.data.DataLoader(images, batch_size=2))
    run.save_checkpoint(tmp_path / "coarse.ckpt")
    fine = TopKClassifier("small_cnn", class_names=["boston", "siamese", "sphynx"])
    report = load_pretrained(fine, tmp_path / "coarse.ckpt", {"siamese": "cat", "sphynx": "cat", "boston": "dog"})
    assert report.initialised == ["network.head.4.weight", "network.head.4.bias"]
    assert not report.skipped
    batch = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(coarsen_logits(fine.eval()(batch), [1, 0, 0]), coarse.eval()(batch))


class Evil:
    def __reduce__(self):
        return print, ("this must not run",)


def test_files_that_are_no_plain_checkpoint(tmp_path, capsys):
    path = tmp_path / "file.ckpt"

    def error(content, kind=ValueError):
        if content is not None:
            torch.save(content, path)
        with pytest.raises(kind) as raised:
            load_pretrained(Plain(), path, GROUPS)
        return str(raised.value)

    error(None, FileNotFoundError)
    plain = f"coarse_checkpoint must be a file of plain data that loads with weights_only=True, got {str(path)!r}. "
    assert error({"state_dict": {}, "extra": Evil()}) == plain + "Save the state_dict of its module alone."
    assert capsys.readouterr().out == ""
    for junk in (b"no checkpoint", b"hello", b"0", b"Jx", b"\x8c\x01\xff", b""):
        path.write_bytes(junk)
        assert error(None) == plain + "Save the state_dict of its module alone."
    assert error({"epoch": 3}) == f"coarse_checkpoint must hold a state dict of tensors, got {str(path)!r}."
    assert error({"other.weight": torch.zeros(7)}) == (
        f"coarse_checkpoint must hold weights of the fine model, got none in {str(path)!r} "
        "(other.weight: the fine model has no such weight)."
    )
