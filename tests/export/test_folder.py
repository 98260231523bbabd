"""The folder for Hugging Face: read by timm, by transformers, by us; with a card of what was measured."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from topk_lightning import Preprocessing, TopKClassifier, TrainedModel, export_model, predict_topk
from topk_lightning.cli import main

pytest.importorskip("safetensors", reason="safetensors is not installed")

WAYS = {
    "cut": Preprocessing(32, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), 36, "bicubic"),
    "stretched": Preprocessing(32, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "stretch"),
}


@pytest.fixture(scope="module", params=WAYS)
def timm_folder(request, fruit, tmp_path_factory):
    pytest.importorskip("timm")
    way = WAYS[request.param]
    torch.manual_seed(0)
    model = TopKClassifier("timm/test_resnet", class_names=fruit.class_names, preprocessing=way.to_dict()).eval()
    folder = tmp_path_factory.mktemp("timm") / "fruit"
    written = export_model(model, folder, format="hf")
    assert written.readers == ("timm", "transformers", "topk_lightning")
    return model, folder, way


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_timm_reads_its_network_with_the_same_answers_and_preprocessing(timm_folder, fruit, no_network):
    import timm

    model, folder, way = timm_folder
    network = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(network(images), model(images))
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=network))
    picture = fruit.pictures("test", [0])[0].resize((70, 50))
    # Pillow and torchvision resize alike up to one of 255 steps.
    difference = (transform(picture) - way.evaluation_transform()(picture)).abs().amax((1, 2)) * torch.tensor(way.std)
    assert difference.max() <= 1.01 / 255


@pytest.mark.filterwarnings("ignore")  # of transformers
def test_transformers_reads_a_timm_network_with_its_names(timm_folder, fruit, no_network):
    transformers = pytest.importorskip("transformers")
    model, folder, _ = timm_folder
    wrapped = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(wrapped(images).logits, model(images))
    assert [wrapped.config.id2label[index] for index in range(14)] == fruit.class_names
    picture = fruit.pictures("test", [3])[0].resize((70, 50))
    classify = transformers.pipeline("image-classification", str(folder), top_k=3, device="cpu")
    for theirs, ours in zip(classify(picture), predict_topk(model, picture, 3), strict=True):
        assert theirs["label"] == ours.label
        assert theirs["score"] == pytest.approx(ours.probability, abs=1e-3)


def test_preprocessor_config_says_the_preprocessing_in_transformers_words(timm_folder):
    _, folder, way = timm_folder
    said = json.loads((folder / "preprocessor_config.json").read_text())
    shorter = {"height": 32, "width": 32} if way.resize == "stretch" else {"shortest_edge": 36}
    assert (said["size"], said["crop_size"]) == (shorter, {"height": 32, "width": 32})
    assert (said["image_mean"], said["image_std"]) == (list(way.mean), list(way.std))


def test_any_network_is_read_back_by_us_with_the_same_answers(checkpoint, fruit, tmp_path):
    folder = export_model(checkpoint, tmp_path / "fruit", format="hf").path
    pictures = fruit.pictures("test")
    assert predict_topk(folder, pictures, 3) == predict_topk(checkpoint, pictures, 3)
    read, model = TrainedModel.load(folder), TrainedModel.load(checkpoint)
    assert (read.class_names, read.preprocessing, read.k) == (model.class_names, model.preprocessing, model.k)


def test_a_network_of_ones_own_is_passed_again(tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    folder = export_model(network, tmp_path / "own", format="hf", class_names=list("abcd"), image_size=2).path
    copy = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    image = torch.randn(3, 2, 2)
    assert predict_topk(folder, image, network=copy) == predict_topk(network, image, class_names=list("abcd"))


def test_the_card_has_the_numbers_of_the_report(checkpoint, tmp_path):
    folder = export_model(checkpoint, tmp_path / "fruit", format="hf").path
    card = (folder / "README.md").read_text()
    report = json.loads((checkpoint.parent / "report.json").read_text())
    for row in report["sections"]["accuracy"]["topk"]:
        assert f"| top-{row['k']} | {row['accuracy']:.3f} | {row['low']:.3f} to {row['high']:.3f} |" in card
    assert report["sentence"] in card
    assert "timm and transformers do not know this network" in card
    assert str(checkpoint.parent) not in card
    head = yaml.safe_load(card.split("---")[1])
    measured = head["model-index"][0]["results"][0]["metrics"]
    assert [metric["value"] for metric in measured] == [
        row["accuracy"] for row in report["sections"]["accuracy"]["topk"]
    ]


def test_a_card_without_a_report_says_that_nothing_was_measured(checkpoint, tmp_path):
    alone = shutil.copy(checkpoint, tmp_path / "alone.ckpt")
    folder = export_model(alone, tmp_path / "fruit", format="hf").path
    assert "Not measured" in (folder / "README.md").read_text()


def test_a_report_of_other_classes_is_refused(checkpoint, tmp_path):
    with pytest.raises(ValueError, match=r"report must be of the classes of this model"):
        export_model(
            nn.Flatten(), tmp_path / "own", format="hf", image_size=2, report=checkpoint.parent / "report.json"
        )


def test_the_folder_holds_nothing_of_the_training_data(checkpoint, tmp_path):
    folder = export_model(checkpoint, tmp_path / "fruit", format="hf").path
    assert "training_data" not in (folder / "config.json").read_text()


def test_damage_in_the_weights_is_an_error_and_a_folder_without_checksum_says_so(checkpoint, tmp_path):
    folder = Path(export_model(checkpoint, tmp_path / "exported", format="hf").path)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100] + bytes([whole[-100] ^ 64]) + whole[-99:])
    with pytest.raises(ValueError, match="undamaged") as raised:
        TrainedModel.load(folder)
    assert str(raised.value) == (
        f"model must be an undamaged file, got {str(folder / 'model.safetensors')!r}, which does not match its checksum in "
        "config.json. Export it again, or copy both files: its numbers cannot be trusted."
    )
    config = json.loads((folder / "config.json").read_text())
    del config["topk_lightning_weights_crc32"]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(whole)
    with pytest.warns(UserWarning, match=r"^model .* holds no checksum: damage to its numbers is not noticed\.$"):
        TrainedModel.load(folder)


def test_a_report_json_of_something_else_is_no_matter_unless_it_is_named(checkpoint, tmp_path):
    model = shutil.copy(checkpoint, tmp_path / "model.ckpt")
    for content in ("{", "[]", '{"sections": 3}'):
        (tmp_path / "report.json").write_text(content)
        export_model(model, tmp_path / "exported", format="hf")
        with pytest.raises(ValueError, match=r"^report must be of the classes of this model"):
            export_model(model, tmp_path / "exported", format="hf", report=tmp_path / "report.json")


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^model must be an existing checkpoint"):
        TrainedModel.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match=r"^model must be a folder that topk-lightning export --format hf wrote"):
        TrainedModel.load(tmp_path)


def test_the_command_writes_the_folder_and_predicts_with_it(checkpoint, fruit, tmp_path, capsys):
    fruit.pictures("test", [0])[0].save(tmp_path / "picture.png")
    folder = str(tmp_path / "fruit")
    assert main(["export", str(checkpoint), "--format", "hf", "--out", folder]) == 0
    assert f"exported: {folder}" in capsys.readouterr().out
    assert main(["predict", folder, str(tmp_path / "picture.png"), "--k", "2"]) == 0
    assert "rank" in capsys.readouterr().out


def test_the_command_names_what_it_compared(checkpoint, tmp_path, capsys):
    out = str(tmp_path / "fruit.pt2")
    assert main(["export", str(checkpoint), "--format", "torch", "--out", out]) == 0
    assert "compared: probabilities within 0 of those here, on random images" in capsys.readouterr().out
    assert main(["export", str(checkpoint), "--format", "tf"]) == 2


def test_an_exported_folder_is_served_with_the_answers_of_its_checkpoint(checkpoint, fruit, tmp_path):
    pytest.importorskip("starlette", reason="the extra server is not installed")
    testclient = pytest.importorskip("starlette.testclient", reason="httpx is not installed")
    from topk_lightning.serving import create_app

    folder = export_model(checkpoint, tmp_path / "fruit", format="hf").path
    fruit.pictures("test", [3])[0].save(tmp_path / "picture.png")
    answers = []
    for source in (folder, checkpoint):
        with testclient.TestClient(create_app(source, k=3), "http://localhost") as client:
            answer = client.post("/predict", files={"image": ("a.png", (tmp_path / "picture.png").read_bytes())})
            assert answer.status_code == 200
            answers.append(answer.json())
    assert answers[0] == answers[1]
