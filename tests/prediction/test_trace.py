"""The trace of a prediction: every layer called is listed, every parameter counted once, and nothing is left behind."""

from __future__ import annotations

import copy
import io

import pytest
import rich.console
import timm
import torch
import torchvision
from PIL import Image
from torch import nn

from topk_lightning import (
    Preprocessing,
    SmallCNN,
    TopKClassifier,
    predict_topk,
    target_rank,
    topk_indices,
    trace_prediction,
)
from topk_lightning.prediction._layers import recorded_layers

NAMES = ["ant", "bee", "cat", "dog"]
HALF = Preprocessing(32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def image(size=32, seed=0):
    return torch.rand(3, size, size, generator=torch.Generator().manual_seed(seed))


def text_of(trace, width=100):
    console = rich.console.Console(file=io.StringIO(), width=width)
    console.print(trace)
    return console.file.getvalue()


def hooks_of(network):
    return [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()]


def table_of(trace):
    return [(layer.name, layer.kind, layer.shapes, layer.parameters, layer.call) for layer in trace.layers]


def test_layers_of_the_small_network_by_hand():
    trace = trace_prediction(SmallCNN(4, width=2), image(16), NAMES, k=2)
    rows = table_of(trace)
    assert rows[:4] == [
        ("features.0.0", "Conv2d", ((1, 2, 16, 16),), 3 * 2 * 9, 1),
        ("features.0.1", "BatchNorm2d", ((1, 2, 16, 16),), 2 + 2, 1),
        ("features.0.2", "ReLU", ((1, 2, 16, 16),), 0, 1),
        ("features.0.3", "MaxPool2d", ((1, 2, 8, 8),), 0, 1),
    ]
    assert rows[-2:] == [("head.3", "Flatten", ((1, 16),), 0, 1), ("head.4", "Linear", ((1, 4),), 16 * 4 + 4, 1)]
    assert len(rows) == 4 * 4 + 3
    assert trace.kind == "SmallCNN"


NETWORKS = {
    "small_cnn": lambda: SmallCNN(10),
    "resnet18": lambda: torchvision.models.resnet18(num_classes=10),
    "timm mobilenet": lambda: timm.create_model("mobilenetv3_small_050", num_classes=10),
    "timm vision transformer": lambda: timm.create_model("vit_tiny_patch16_224", num_classes=10, img_size=64, depth=2),
    "torchvision vision transformer": lambda: torchvision.models.VisionTransformer(
        64, 16, 2, 2, 32, 64, num_classes=10
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_gets_its_own_prediction_and_each_parameter_is_counted_once(name):
    torch.manual_seed(0)
    network = NETWORKS[name]()
    before = copy.deepcopy(network.state_dict())
    picture = image(64)
    trace = trace_prediction(network, picture, k=3, target=7)
    assert trace.predictions == predict_topk(network, picture, k=3)
    logits = network.eval()(picture[None])
    torch.testing.assert_close(trace.logits, logits[0].detach())
    torch.testing.assert_close(trace.probabilities, logits[0].detach().softmax(0))
    assert trace.target_rank == target_rank(logits, torch.tensor([7])).item()
    assert trace.in_topk == (7 in topk_indices(logits, 3)[0])
    assert sum(layer.parameters for layer in trace.layers) == sum(p.numel() for p in network.parameters())
    assert trace.parameters == sum(p.numel() for p in network.parameters())
    assert not any(hooks_of(network))
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert any(layer.maps is not None for layer in trace.layers)
    assert f"{trace.parameters:,} parameters." in text_of(trace)


def test_feature_maps_are_those_channels_of_the_layers_output_that_vary_most():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    picture = image(12)
    trace = trace_prediction(network, picture, k=1, num_maps=4)
    convolved, activated, *rest = trace.layers
    expected = network[0](picture[None])[0].detach()  # the activation works in place, on a copy of nobody's
    deviations = [channel.std().item() for channel in expected]
    assert list(convolved.channels) == sorted(range(6), key=lambda c: -deviations[c])[:4]
    torch.testing.assert_close(convolved.maps, expected[list(convolved.channels)])
    torch.testing.assert_close(activated.maps, expected.relu()[list(activated.channels)])
    assert [layer.maps for layer in rest] == [None, None]
    assert not convolved.maps.requires_grad


class Twice(nn.Module):
    """One convolution called twice, its weight also tied to another layer, and outputs of every kind on the way."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Conv2d(3, 3, 3, padding=1)
        self.tied = nn.Conv2d(3, 3, 3, padding=1)
        self.tied.weight = self.shared.weight
        self.split, self.named, self.nothing = Split(), Named(), Nothing()
        self.never = nn.Linear(5, 5)
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, images):
        first, (second, _) = self.split(self.tied(self.shared(self.shared(images))))
        self.nothing(first)
        return self.scale * self.named(first + second)["pooled"]


class Split(nn.Module):
    def forward(self, images):
        return images, (images[:, :2].mean(1, keepdim=True), None)


class Named(nn.Module):
    def forward(self, images):
        return {"pooled": images.mean((2, 3)), "size": images.shape}


class Nothing(nn.Module):
    def forward(self, images):
        return None


def test_shared_modules_tied_weights_and_outputs_of_every_kind():
    torch.manual_seed(0)
    network = Twice()
    trace = trace_prediction(network, image(8), k=1)
    weight, bias = 3 * 3 * 9, 3
    assert table_of(trace) == [
        ("shared", "Conv2d", ((1, 3, 8, 8),), weight + bias, 1),
        ("shared", "Conv2d", ((1, 3, 8, 8),), 0, 2),
        ("tied", "Conv2d", ((1, 3, 8, 8),), bias, 1),
        ("split", "Split", ((1, 3, 8, 8), (1, 1, 8, 8)), 0, 1),
        ("nothing", "Nothing", (), 0, 1),
        ("named", "Named", ((1, 3),), 0, 1),
        ("", "Twice", ((1, 3),), 3, 1),
    ]
    assert trace.parameters == weight + 2 * bias + 3 + (5 * 5 + 5)
    shown = text_of(trace)
    assert "Twice: 120 parameters, 30 of them in layers that were not called." in shown
    for line in ("shared (call 2)", "1 × 3 × 8 × 8, 1 × 1 × 8 × 8", "(the network itself)"):
        assert line in shown


def test_a_weight_norm_counts_as_part_of_its_layer_and_identities_are_left_out():
    norm = torch.nn.utils.parametrizations.weight_norm
    network = nn.Sequential(norm(nn.Conv2d(3, 2, 3, bias=False)), nn.Identity(), nn.Dropout2d(), nn.Flatten())
    trace = trace_prediction(network, image(3), k=1)
    assert table_of(trace) == [
        ("0", "ParametrizedConv2d", ((1, 2, 1, 1),), 3 * 2 * 9 + 2, 1),
        ("3", "Flatten", ((1, 2),), 0, 1),
    ]


class Fails(nn.Module):
    def forward(self, images):
        raise RuntimeError("no")


class Recovers(nn.Module):
    def __init__(self):
        super().__init__()
        self.fails, self.pool = nn.Sequential(Fails()), nn.AdaptiveAvgPool2d(1)

    def forward(self, images):
        try:
            self.fails(images)
        except RuntimeError:
            return self.pool(images).flatten(1)


def test_after_an_exception_no_hook_is_left_and_the_modes_are_back():
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), Fails()).train()
    network[1].eval()
    with pytest.raises(RuntimeError, match=r"^no$"):
        trace_prediction(network, image(), k=1)
    assert not any(hooks_of(network))
    assert [module.training for module in network.modules()] == [True, True, False, True]


def test_a_failure_that_the_network_itself_catches_does_not_disturb_the_list():
    trace = trace_prediction(Recovers(), image(4), k=1)
    assert [(layer.name, layer.kind) for layer in trace.layers] == [("pool", "AdaptiveAvgPool2d")]


def test_hooks_of_others_stay_and_what_they_return_is_shown():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    handle = network[0].register_forward_hook(lambda module, args, output: output[:, :12])
    network[1].register_forward_pre_hook(lambda module, args: None)
    trace = trace_prediction(network, image(4), k=1)
    assert trace.layers[0].shapes == ((1, 12),)
    assert hooks_of(network) == [0, 1, 1]
    handle.remove()


def test_modes_come_back_and_batch_statistics_stay():
    network = SmallCNN(4).train()
    mean = network.features[0][1].running_mean.clone()
    trace_prediction(network, image(), k=1)
    assert network.training
    assert torch.equal(network.features[0][1].running_mean, mean)


def test_a_compiled_network_is_traced_as_it_was_written():
    network = SmallCNN(4)
    plain = trace_prediction(network, image(), k=1)
    assert table_of(trace_prediction(torch.compile(network), image(), k=1)) == table_of(plain)


def test_layers_recorded_around_any_call():
    network = nn.Linear(2, 3)
    with recorded_layers(network) as layers:
        network(torch.zeros(5, 2))
    assert [(layer.kind, layer.shapes, layer.parameters) for layer in layers] == [("Linear", ((5, 3),), 9)]


def test_files_pictures_and_tensors_of_a_classifier(tmp_path):
    torch.manual_seed(0)
    classifier = TopKClassifier("small_cnn", class_names=NAMES, preprocessing=HALF.to_dict())
    picture = Image.new("RGB", (40, 30), (255, 128, 0))
    picture.save(tmp_path / "orange.png")
    prepared = HALF.evaluation_transform()(picture)
    traces = [
        trace_prediction(classifier, given, k=2, target="cat")
        for given in (
            tmp_path / "orange.png",
            str(tmp_path / "orange.png"),
            picture,
            prepared,
            prepared[None],
            [picture],
        )
    ]
    for trace in traces:
        assert trace.predictions == predict_topk(classifier, picture, k=2)
        assert (trace.target, trace.target_name) == (2, "cat")
        torch.testing.assert_close(trace.picture, torch.tensor([1, 128 / 255, 0]).expand(32, 32, 3))
    assert traces[0].layers[0].name == "network.features.0.0"
    assert "maps=" not in repr(traces[0].layers[0])  # a screen of numbers for each layer


def test_a_tensor_of_unknown_normalisation_is_stretched_for_the_eye():
    picture = trace_prediction(SmallCNN(4), 10 * image() - 3, k=1).picture
    assert (picture.min(), picture.max()) == (0, 1)
    assert (trace_prediction(SmallCNN(4), torch.zeros(3, 16, 16), k=1).picture == 0).all()


def test_table_shows_the_best_classes_and_the_true_one_wherever_it_stands():
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    picture = torch.tensor([0.0, 2.0, 1.0]).view(3, 1, 1).expand(3, 4, 4)
    names = ["ant", "[red]bee[/red]", "cat"]
    shown = text_of(trace_prediction(network, picture, names, k=2, target="cat"))
    assert "Softmax turns 3 logits from 0.00 to 2.00 into probabilities that sum to 1." in shown
    lines = [line.split() for line in shown.splitlines()]
    assert ["1", "[red]bee[/red]", "2.00", "0.665", "█" * 13] in lines
    assert ["2", "cat", "✓", "1.00", "0.245", "█" * 5] in lines
    assert shown.rstrip().endswith("The true class 'cat' has rank 2 of 3: within the top 2.")

    missed = trace_prediction(network, picture, names, k=1, target=0)
    assert missed.in_topk is False
    assert missed.verdict == "The true class 'ant' has rank 3 of 3: not within the top 1."
    assert ["3", "ant", "0.00", "0.090", "█" * 2] in [line.split() for line in text_of(missed).splitlines()]

    unknown = trace_prediction(network, picture, names, k=1)
    assert (unknown.in_topk, unknown.target_rank, unknown.verdict) == (None, None, "")
    assert "true class" not in text_of(unknown)


def test_table_fits_a_narrow_terminal():
    shown = text_of(trace_prediction(SmallCNN(4), image(), NAMES, k=2, target="ant"), width=50)
    assert max(map(len, shown.splitlines())) <= 50
    assert "1,1" not in shown.split("Softmax")[0].splitlines()[0]
    assert "9,216" in shown


def test_labels_without_names_are_indices_also_as_text():
    trace = trace_prediction(SmallCNN(4), image(), k=4, target="3")
    assert (trace.target, trace.target_name, trace.in_topk) == (3, "3", True)


class Pair(nn.Module):
    def forward(self, images):
        return images.mean((2, 3)), images


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"target": "cta"}, ValueError, "target must be the name of a class, got 'cta'. Did you mean 'cat'?"),
        ({"target": "lorry"}, ValueError, "target must be the name of a class, got 'lorry'."),
        ({"target": 4}, ValueError, "target must be a class index in [0, 4) or a class name, got 4."),
        ({"target": -1}, ValueError, "target must be at least 0, got -1."),
        ({"target": 1.0}, TypeError, "target must be an integer, got 1.0 of type float."),
        (
            {"target": "cat", "class_names": None},
            ValueError,
            "target must be a class index, as the model has no class names, got 'cat'.",
        ),
        ({"image": []}, ValueError, "image must be one image, got none."),
        ({"image": torch.rand(2, 3, 32, 32)}, ValueError, "image must be one image, got more than one."),
        (
            {"model": Pair()},
            TypeError,
            "network must return logits of shape (1, C), got tuple. "
            "Switch its auxiliary outputs off, or wrap it in a module that returns the logits alone.",
        ),
        (
            {"model": nn.Conv2d(3, 4, 1)},
            ValueError,
            "network must return logits of shape (1, C), got (1, 4, 32, 32). Give its last layer C outputs, one a class.",
        ),
        ({"k": 5}, ValueError, "k must be at most the number of classes (4), got 5. Use a smaller k."),
        ({"num_maps": 0}, ValueError, "num_maps must be at least 1, got 0."),
        ({"class_names": ["a"]}, ValueError, "class_names must hold 4 names, one a class, got 1."),
    ],
)  # fmt: skip
def test_mistakes_get_a_sentence(changes, error, sentence):
    with pytest.raises(error) as caught:
        trace_prediction(**{"model": SmallCNN(4), "image": image(), "class_names": NAMES, "k": 2, **changes})
    assert str(caught.value) == sentence
