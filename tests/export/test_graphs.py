"""Files with network, softmax and k best classes answer as this library does, in other runtimes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from topk_lightning import TrainedModel, export_model, predict_topk, target_rank, topk_indices

INF, NAN = float("inf"), float("nan")
# The logits of a network that only flattens images (3, 2, 2): ties, infinities and NaN as they come.
HARD_ROWS = [
    [0.0] * 12,
    [1, 3, 3, 2, 3, 3, 0, 0, 0, 0, 0, 0],
    [-INF, -INF, 1, 1, -INF, 1, -INF, 1, 1, 1, 1, 1],
    [0, INF, INF, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [5, NAN, 7, NAN, 7, 0, 0, 0, 0, 0, 0, 0],
    [INF, 5, 7, NAN, 7, INF, 0, 0, 0, 0, 0, 0],
    [0.0, -0.0, 0.0, -0.0, 1e-45, 0, 0, 0, 0, 0, 0, 0],
]
HARD = torch.tensor(HARD_ROWS, dtype=torch.float32).view(-1, 3, 2, 2)


def session(path):
    return pytest.importorskip("onnxruntime").InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def onnx_file(checkpoint, tmp_path_factory):
    pytest.importorskip("onnxscript", reason="onnx and onnxscript are not installed")
    path = tmp_path_factory.mktemp("onnx") / "fruit.onnx"
    return export_model(checkpoint, path, format="onnx", k=5)


@pytest.fixture(scope="module")
def pictures(checkpoint, fruit):
    model = TrainedModel.load(checkpoint)
    images = torch.stack([model.prepare(picture) for picture in fruit.pictures("test")])
    with model.evaluating(), torch.inference_mode():
        return images, model.logits(images), torch.tensor(fruit.targets("test"))


def test_onnxruntime_gives_equal_ranks_and_probabilities_on_real_pictures(onnx_file, pictures):
    images, logits, target = pictures
    probabilities, indices, theirs = session(onnx_file.path).run(None, {"images": images.numpy()})
    assert torch.equal(target_rank(torch.tensor(theirs), target), target_rank(logits, target))
    assert np.array_equal(indices, topk_indices(logits, 5).numpy())
    np.testing.assert_allclose(probabilities, logits.softmax(1).sort(descending=True).values[:, :5], atol=1e-5)
    assert onnx_file.largest_difference < 1e-5


@pytest.mark.parametrize("number", [1, 2, 7])
def test_the_batch_of_an_onnx_file_is_of_any_size(onnx_file, pictures, number):
    _, indices, _ = session(onnx_file.path).run(None, {"images": pictures[0][:number].numpy()})
    assert indices.tolist() == topk_indices(pictures[1][:number], 5).tolist()


def test_an_onnx_file_says_names_preprocessing_and_opset(onnx_file, checkpoint):
    model = TrainedModel.load(checkpoint)
    said = session(onnx_file.path).get_modelmeta().custom_metadata_map
    assert json.loads(said["class_names"]) == model.class_names
    assert json.loads(said["preprocessing"]) == model.preprocessing.to_dict()
    assert said["k"] == "5"
    opsets = {entry.domain: entry.version for entry in pytest.importorskip("onnx").load(onnx_file.path).opset_import}
    assert opsets[""] == 18


def test_the_order_rule_holds_in_onnxruntime_for_ties_infinities_and_nan(tmp_path):
    pytest.importorskip("onnxscript", reason="onnx and onnxscript are not installed")
    path = export_model(nn.Flatten(), tmp_path / "flat.onnx", format="onnx", k=6, image_size=2).path
    _, indices, _ = session(path).run(None, {"images": HARD.numpy()})
    assert indices.tolist() == topk_indices(HARD.flatten(1), 6).tolist()


@pytest.mark.parametrize("k", [1, 6, 12])
def test_the_order_rule_holds_in_torch_export(tmp_path, k):
    path = export_model(nn.Flatten(), tmp_path / "flat.pt2", format="torch", k=k, image_size=2).path
    extra = {"topk_lightning.json": ""}
    _, indices, _ = torch.export.load(path, extra_files=extra).module()(HARD)
    assert indices.tolist() == topk_indices(HARD.flatten(1), k).tolist()
    assert json.loads(json.loads(extra["topk_lightning.json"])["class_names"]) == [str(index) for index in range(12)]


def test_torch_export_answers_as_predict_topk(checkpoint, fruit, pictures, tmp_path):
    path = export_model(checkpoint, tmp_path / "fruit.pt2", format="torch").path
    probabilities, indices, _ = torch.export.load(path).module()(pictures[0])
    for row, expected in enumerate(predict_topk(checkpoint, fruit.pictures("test"), 5)):
        assert indices[row].tolist() == [prediction.index for prediction in expected]
        assert probabilities[row].tolist() == pytest.approx([prediction.probability for prediction in expected])


def test_exporting_leaves_the_model_as_it_is(tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    export_model(network, tmp_path / "flat.pt2", format="torch", image_size=2)
    assert all(module.training for module in network.modules())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


class OnePicture(nn.Module):
    def forward(self, images):
        return images.reshape(2, 12)


def test_a_network_for_one_batch_size_alone_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(
        ValueError, match=r"^network must be followed by torch\.export, for batches of any size, got one"
    ):
        export_model(OnePicture(), tmp_path / "flat.pt2", format="torch", image_size=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"format": "tflite"}, r"format must be one of 'onnx', 'torch', 'hf', got 'tflite'\."),
        ({"format": "torch", "out": "a.onnx"}, r"out must end in \.pt2 for format='torch', got 'a\.onnx'\."),
        ({"format": "torch", "image_size": None}, r"image_size must be given for this model, got None\."),
        ({"format": "torch", "k": 13}, r"k must be at most the number of classes \(12\), got 13\."),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        export_model(nn.Flatten(), **{"image_size": 2, **arguments})


def test_a_missing_package_is_named_with_its_extra(monkeypatch, tmp_path):
    from topk_lightning.export import _missing

    monkeypatch.setattr(_missing, "find_spec", lambda name: None)
    with pytest.raises(
        ModuleNotFoundError, match=r"onnx must be installed for format='onnx'.*topk-lightning\[export\]"
    ):
        export_model(nn.Flatten(), tmp_path / "flat.onnx", format="onnx", image_size=2)
