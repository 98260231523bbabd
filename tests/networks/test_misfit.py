"""Which layer does not fit an image, and the number it should have: by check_network, in training and in a trace."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.classifier.small import quiet
from tests.data.drawings import class_folders
from topk_lightning import SmallCNN, TopKClassifier, check_network, trace_prediction
from topk_lightning._checks import InvalidValueError
from topk_lightning.data import ImageFolderDataModule
from topk_lightning.networks import build_network
from topk_lightning.networks.specification import torchvision_names

IMAGE = torch.zeros(3, 64, 64)
SEEN = "for images of 3 × 64 × 64"


class Net(nn.Module):
    """The network of every tutorial, for images of another size: 64 − 4 = 60, 30, 26, 13."""

    def __init__(self, inputs=20 * 12 * 12, views=False):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 10, 5), nn.Conv2d(10, 20, 5)
        self.fc1, self.fc2 = nn.Linear(inputs, 50), nn.Linear(50, 10)
        self.views = views

    def forward(self, x):
        x = torch.max_pool2d(self.conv1(x).relu(), 2)
        x = torch.max_pool2d(self.conv2(x).relu(), 2)
        x = x.view(-1, self.fc1.in_features) if self.views else x.flatten(1)
        return self.fc2(self.fc1(x).relu())


WRONG = {
    "flattened": (Net(), f"layer 'fc1' (Linear) must have in_features = 20·13·13 = 3380 {SEEN}, got 2880."),
    "viewed": (
        Net(views=True),
        f"layer 'fc1' (Linear) must have in_features = 20·13·13 = 3380 {SEEN}, got 2880. "
        "Flatten with x.flatten(1), which needs no number.",
    ),
    "linear": (
        nn.Sequential(nn.Conv2d(3, 20, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(20 * 12 * 12, 10)),
        f"layer '3' (Linear) must have in_features = 20·30·30 = 18000 {SEEN}, got 2880.",
    ),
    "second linear": (
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 4), nn.Linear(5, 3)),
        f"layer '2' (Linear) must have in_features = 4 {SEEN}, got 5.",
    ),
    "not flattened": (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Linear(8, 10)),
        f"layer '2' (Linear) must get one row an image {SEEN}, got maps (1, 8, 1, 1). "
        "Put nn.Flatten() before it, and in_features = 8·1·1 = 8.",
    ),
    "channels": (nn.Conv2d(1, 8, 3), f"layer '' (Conv2d) must have in_channels = 3 {SEEN}, got 1."),
    "normalisation": (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(9)),
        f"layer '1' (BatchNorm2d) must have num_features = 8 {SEEN}, got 9.",
    ),
    "pooled away": (
        nn.Sequential(*(nn.MaxPool2d(2) for _ in range(7))),
        f"layer '6' (MaxPool2d) must get maps of at least 2 × 2 pixels {SEEN}, got 1 × 1. "
        "Use larger images, or fewer layers that make them smaller.",
    ),
    "any other": (
        nn.Sequential(nn.LayerNorm(5)),
        f"layer '0' (LayerNorm) must fit its input {SEEN}, got shape (1, 3, 64, 64). torch says: Given "
        "normalized_shape=[5], expected input with shape [*, 5], but got input of size[1, 3, 64, 64].",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_layer_is_named_with_the_number_it_should_have(name):
    network, sentence = WRONG[name]
    modes = [module.training for module in network.modules()]
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        check_network(network, IMAGE)
    assert str(raised.value) == sentence
    assert [module.training for module in network.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_with_that_number_it_fits():
    assert check_network(Net(20 * 13 * 13), IMAGE) == 10
    assert check_network(Net(20 * 13 * 13, views=True), IMAGE.expand(4, 3, 64, 64)) == 10


def test_a_networks_own_sentence_and_a_defect_of_it_stay_what_they_are():
    with pytest.raises(ValueError, match=r"^images must be at least 16 x 16 pixels, got 8 x 8\."):
        check_network(SmallCNN(3), torch.zeros(3, 8, 8))

    class Broken(nn.Module):
        def forward(self, x):
            return self.nothing

    with pytest.raises(AttributeError, match="nothing"):
        check_network(Broken(), IMAGE)


@pytest.mark.parametrize(
    ("image", "kind", "sentence"),
    [
        (IMAGE.byte(), TypeError, "image must be a floating-point tensor, got torch.uint8 tensor."),
        ("a.png", TypeError, "image must be a floating-point tensor, got str."),
        (IMAGE[0], ValueError, "image must have shape (channels, H, W) or (N, channels, H, W), got (64, 64)."),
    ],
)
def test_wrong_images_are_named(image, kind, sentence):
    with pytest.raises(kind) as raised:
        check_network(SmallCNN(3), image)
    assert str(raised.value) == sentence


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
@pytest.mark.parametrize("views", [False, True])
def test_the_first_batch_says_the_same(tmp_path, views):
    loader = DataLoader(TensorDataset(torch.zeros(8, 3, 64, 64), torch.arange(8)), batch_size=4)
    with pytest.raises(
        ValueError, match=r"^layer 'fc1' \(Linear\) must have in_features = 20·13·13 = 3380 for images of 3"
    ):
        quiet(tmp_path).fit(TopKClassifier(Net(views=views), 10), loader, loader)


def test_a_trace_shows_the_layers_up_to_there(capsys):
    import rich

    trace = trace_prediction(Net(), IMAGE)
    assert [(layer.name, layer.shapes[0]) for layer in trace.layers] == [
        ("conv1", (1, 10, 60, 60)),
        ("conv2", (1, 20, 26, 26)),
    ]
    assert trace.problem == WRONG["flattened"][1]
    assert (trace.predictions, len(trace.logits), trace.in_topk) == ((), 0, None)
    rich.print(trace)
    shown = capsys.readouterr().out
    assert "1 × 20 × 26 × 26" in shown
    assert "20·13·13 = 3380" in shown
    assert "Softmax" not in shown
    assert trace_prediction(Net(20 * 13 * 13), IMAGE).problem == ""


class OneSize(nn.Module):
    """As those of Hugging Face say it."""

    def __init__(self, size):
        super().__init__()
        self.size, self.fc = size, nn.Linear(3 * size * size, 5)

    def forward(self, x):
        height, width = x.shape[2:]
        if height != self.size:
            raise ValueError(f"Input image size ({height}*{width}) doesn't match model ({self.size}*{self.size}).")
        return self.fc(x.flatten(1))


def test_a_size_that_a_network_names_itself_is_tried_before_it_is_said():
    with pytest.raises(ValueError, match=r"^image size must be one that this network takes, such as 48, got 64\.$"):
        check_network(OneSize(48), IMAGE)
    with pytest.raises(ValueError, match=r"such as 48, got 64 × 32\.$"):
        check_network(OneSize(48), torch.zeros(3, 64, 32))
    lies = OneSize(48)
    lies.fc = nn.Linear(7, 5)
    with pytest.raises(ValueError, match=r"^Input image size \(64\*64\) doesn't match model \(48\*48\)\.$"):
        check_network(lies, IMAGE)


# One of each file of torchvision.models; the others of a file are larger or deeper.
FAMILIES = (
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "maxvit_t", "mnasnet0_5"),
    *("mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1"),
    *("swin_t", "swin_v2_t", "vgg11", "vgg11_bn", "vit_b_32"),
)


def test_each_family_of_torchvision_is_tried():
    torchvision = pytest.importorskip("torchvision")
    builders = [torchvision.models.get_model_builder(name) for name in torchvision_names()]
    assert {b.__module__ for b in builders} == {
        torchvision.models.get_model_builder(name).__module__ for name in FAMILIES
    }


@pytest.mark.parametrize("name", FAMILIES)
def test_a_network_of_torchvision_scores_images_or_says_in_one_sentence_that_it_does_not(name):
    pytest.importorskip("torchvision")
    with torch.device("cpu" if "regnet" in name else "meta"):  # nothing is computed there
        network = build_network(name, 5)
        for side in (16, 40, 64, 224):
            try:
                assert check_network(network, torch.zeros(3, side, side)) == 5
            except InvalidValueError as error:
                assert side < 224
                wanted = rf"^image size must be one that this network takes, such as 224, got {side}\.$"
                assert re.match(wanted, str(error))  # noqa: PT017


@pytest.mark.parametrize(
    ("name", "side", "size"), [("beit_base_patch16_224", 40, 224), ("visformer_tiny", 40, 224), ("test_vit2", 40, 160)]
)
def test_a_network_of_timm_says_a_size_that_it_takes(name, side, size):
    pytest.importorskip("timm", reason="timm is not installed")
    with torch.device("meta"):
        network = build_network(f"timm/{name}", 5)
        with pytest.raises(ValueError, match=rf"^image size must be one .* such as {size}, got {side}\.$"):
            check_network(network, torch.zeros(3, side, side))


def test_a_network_that_takes_another_size_says_so_before_an_image_is_looked_at(tmp_path):
    class Unread(ImageFolderDataModule):
        def setup(self, stage=None):
            raise AssertionError("looked at")

    data = Unread(class_folders(tmp_path / "photos", {"cat": 4, "dog": 4}), image_size=32)
    with pytest.raises(ValueError, match=r"^image size must be one that this network takes, such as 224, got 32\.$"):
        quiet(tmp_path).fit(TopKClassifier("vit_b_32", 2), data)
    with pytest.raises(AssertionError, match="looked at"):
        quiet(tmp_path).fit(TopKClassifier(SmallCNN(2, width=2), 2), data)


class ByBatches(nn.Module):
    """A network that is written for batches of 4 images alone, and draws random numbers."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3 * 16 * 16, 2)

    def forward(self, x):
        return self.fc((x + torch.rand(())).view(4, -1))


class Smaller(TopKClassifier):
    """Gives its network smaller images than the data module's."""

    def forward(self, images):
        return super().forward(images[:, :, ::2, ::2])


def before_looking(tmp_path, module, size):
    """Start a training and return how many images were looked at, with the error that ended it."""
    data = ImageFolderDataModule(
        class_folders(tmp_path / "photos", {"cat": 8, "dog": 8}), size, batch_size=4, num_workers=0
    )
    looked = []
    data.on_look = lambda *_: looked.append(torch.random.get_rng_state())
    try:
        quiet(tmp_path, max_steps=1, limit_val_batches=0).fit(module, data)
    except ValueError as error:
        return looked, str(error)
    return looked, ""


def test_a_network_of_ones_own_of_another_size_says_so_before_an_image_is_looked_at(tmp_path):
    wrong = WRONG["flattened"][1]
    assert before_looking(tmp_path, TopKClassifier(Net(), 10, k=1), 64) == ([], wrong)


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
def test_a_network_of_ones_own_is_not_refused_for_what_its_batches_do_not_show(tmp_path):
    module = TopKClassifier(ByBatches(), 2, k=1)
    state = torch.random.get_rng_state()
    looked, error = before_looking(tmp_path, module, 16)
    assert (len(looked), error) == (16, "")
    assert looked[0].equal(state)
    looked, error = before_looking(tmp_path, Smaller(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2)), 2, k=1), 16)
    assert (len(looked), error) == (16, "")
