"""A checkpoint from anywhere goes through the same gate: a file, an address, an open file."""

import io
import zipfile

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from topk_lightning._checks import UserError
from topk_lightning.classifier import TopKClassifier
from topk_lightning.networks import SmallCNN

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning")

OPENED = {
    "path": lambda path: path,
    "text": str,
    "address": lambda path: path.as_uri(),
    "open file": lambda path: io.BytesIO(path.read_bytes()),
}


def loader():
    return DataLoader(TensorDataset(torch.rand(4, 3, 16, 16), torch.arange(4) % 2), batch_size=4)


def trainer(**options):
    return pl.Trainer(accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, **options)  # fmt: skip


@pytest.fixture
def model(tmp_path):
    """A checkpoint that a training can go on from."""
    classifier, begun = TopKClassifier(SmallCNN(2, width=2), 2), trainer(max_steps=1)
    begun.fit(classifier, loader())
    begun.save_checkpoint(tmp_path / "model.ckpt")
    return tmp_path / "model.ckpt"


def damage(path):
    """Change one byte of a tensor."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + 200 + largest.file_size // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("opened", OPENED.values(), ids=OPENED)
def test_it_is_read_from_anywhere(model, opened):
    expected = TopKClassifier.load_from_checkpoint(model).state_dict()
    loaded = TopKClassifier.load_from_checkpoint(opened(model), map_location="cpu")
    assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize("opened", OPENED.values(), ids=OPENED)
def test_damage_is_told_from_wherever_it_is_read(model, opened):
    damage(model)
    with pytest.raises(ValueError, match=r"^model must be an undamaged file, got "):
        TopKClassifier.load_from_checkpoint(opened(model))


@pytest.mark.parametrize("run", ["fit", "validate", "test", "predict"])
def test_damage_is_told_where_a_trainer_reads_the_file_itself(model, run):
    damage(model)
    classifier = TopKClassifier(SmallCNN(2, width=2), 2)
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    with pytest.raises(ValueError, match=r"^ckpt_path must be an undamaged file, got "):
        getattr(trainer(), run)(classifier, loader(), ckpt_path=model)
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())


def test_what_a_checkpoint_calls_its_instantiator_is_not_imported(model, tmp_path, monkeypatch):
    """Lightning before 2.6.6 imports it and calls it."""
    (tmp_path / "stranger.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\ndef build(*_): pass")
    monkeypatch.syspath_prepend(tmp_path)
    content = torch.load(model, weights_only=True)
    content["hyper_parameters"]["_instantiator"] = "stranger.build"
    torch.save(content, model)
    assert isinstance(TopKClassifier.load_from_checkpoint(model), TopKClassifier)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("opened", OPENED.values(), ids=OPENED)
def test_a_class_of_another_kind_is_refused_from_wherever_it_is_read(model, opened, tmp_path):
    content = torch.load(model, weights_only=True)
    content["hyper_parameters"]["optimizer"] = {
        "class_path": "os.system",
        "init_args": {"command": f"touch {tmp_path / 'mark'}"},
    }
    torch.save(content, model)
    with pytest.raises(ValueError, match=r"^optimizer must be of timm, topk_lightning, torch or torchvision"):
        TopKClassifier.load_from_checkpoint(opened(model))
    assert not (tmp_path / "mark").exists()


ODD = {
    "pytorch-lightning_version": "x",
    "hparams_type": [1],
    "state_dict": {},
    "hyper_parameters": {"network": [1], "num_classes": 2},
}


@pytest.mark.parametrize("content", [[1], torch.zeros(2), None, {}, {"state_dict": {}}, {1: 2}, *ODD], ids=repr)
def test_odd_content_is_one_sentence(model, content):
    if isinstance(content, str):
        content = {**torch.load(model, weights_only=True), content: ODD[content]}
    torch.save(content, model)
    with pytest.raises(UserError) as caught:
        TopKClassifier.load_from_checkpoint(model)
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_a_network_of_the_callers_are_one_sentence(model):
    wanted = r"be a checkpoint whose options and weights fit together, got .* Error\(s\) in loading"
    with pytest.raises(ValueError, match=rf"^checkpoint_path must {wanted}"):
        TopKClassifier.load_from_checkpoint(model, network=SmallCNN(2, width=3))
