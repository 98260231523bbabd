"""SmallCNN."""

import pytest
import torch

from topk_lightning.networks import SmallCNN


def test_features_of_64_pixels_are_16_by_16_maps():
    network = SmallCNN(10)
    assert network.features(torch.zeros(2, 3, 64, 64)).shape == (2, 32, 16, 16)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 31), (48, 48), (64, 40), (224, 224)])
def test_any_size_from_16_pixels_gives_one_row_of_logits_an_image(height, width):
    network = SmallCNN(7, width=4)
    assert network(torch.rand(2, 3, height, width)).shape == (2, 7)


def test_channels_and_width_are_options():
    network = SmallCNN(5, in_channels=1, width=8)
    assert network.features(torch.zeros(1, 1, 64, 64)).shape == (1, 8, 16, 16)


def test_it_learns_to_tell_two_colours():
    torch.manual_seed(0)
    target = torch.arange(32) % 2
    images = torch.rand(32, 3, 16, 16) * 0.1
    images[target == 1, 0] += 0.5
    network = SmallCNN(2, width=4)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), target).backward()
        optimizer.step()
    assert (network.eval()(images).argmax(1) == target).all()


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (
            torch.zeros(2, 3, 12, 64),
            ValueError,
            "images must be at least 16 x 16 pixels, got 12 x 64. Enlarge them first.",
        ),
        (
            torch.zeros(2, 1, 64, 64),
            ValueError,
            "images must have shape (N, 3, H, W), got (2, 1, 64, 64). "
            "Build the network with in_channels=1, or convert the images.",
        ),
        (
            torch.zeros(2, 64, 64, 3),
            ValueError,
            "images must have shape (N, 3, H, W), got (2, 64, 64, 3). "
            "Put the channels second with images.permute(0, 3, 1, 2).",
        ),
        (
            torch.zeros(3, 64, 64),
            ValueError,
            "images must have shape (N, 3, H, W), got (3, 64, 64). Add the batch dimension with images.unsqueeze(0).",
        ),
        (
            torch.zeros(2, 3, 64, 64, dtype=torch.uint8),
            TypeError,
            "images must be floating-point, got torch.uint8. "
            "Scale pixels to [0, 1] first, for example with torchvision.transforms.v2.ToDtype(scale=True).",
        ),
    ],
)
def test_images_that_do_not_fit_are_refused(images, error, message):
    with pytest.raises(error) as raised:
        SmallCNN(3, width=2)(images)
    assert str(raised.value) == message


@pytest.mark.parametrize("argument", ["num_classes", "in_channels", "width"])
def test_sizes_are_positive_integers(argument):
    with pytest.raises(ValueError, match=f"^{argument} must be at least 1, got 0.$"):
        SmallCNN(**{"num_classes": 2, argument: 0})


def test_export_keeps_the_checks_out_of_the_graph():
    network = SmallCNN(3, width=2).eval()
    images = torch.rand(2, 3, 20, 20)
    exported = torch.export.export(network, (images,)).module()
    torch.testing.assert_close(exported(images), network(images))


def test_it_compiles_into_one_graph():
    network = SmallCNN(3, width=2).eval()
    images = torch.rand(2, 3, 20, 20)
    torch.testing.assert_close(torch.compile(network, fullgraph=True, backend="eager")(images), network(images))
