"""The picture of a trace holds the maps that the trace holds."""

import io

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

from topk_lightning import SmallCNN, layer_picture, trace_prediction
from topk_lightning.drawing import png_of
from topk_lightning.prediction._layer_picture import chosen_layers


def test_a_row_of_maps_for_the_last_layer_at_each_size():
    torch.manual_seed(0)
    trace = trace_prediction(SmallCNN(4), torch.rand(3, 64, 64), ["$x^2", "b", "c", "d"], k=4, target=0)
    rows = chosen_layers(trace.layers)
    assert [row.name for row in rows] == ["features.0.2", "features.1.2", "head.0.2", "head.1.2", "head.1.3"]
    figure = layer_picture(trace)
    picture, bars, *maps = figure.axes
    assert picture.get_title() == "$x^2"
    assert [bar.get_width() for bar in bars.patches[1::2]] == pytest.approx([p.probability for p in trace.predictions])
    drawn = [(axes.texts[0].get_text(), np.asarray(axes.images[0].get_array())) for axes in maps]
    expected = [(str(c), m.numpy()) for row in rows for c, m in zip(row.channels, row.maps, strict=True)]
    assert len(drawn) == 5 * 8
    for (channel, values), (number, wanted) in zip(drawn, expected, strict=True):
        assert channel == number
        np.testing.assert_array_equal(values, wanted)
    words = [text.get_text() for text in figure.texts]
    assert trace.verdict in words
    assert "head.0.2   ReLU, 128 maps of 16 × 16" in words
    with Image.open(io.BytesIO(png_of(figure))) as image:
        assert image.size == (10.0 * 110, int((2.6 + 5 * 1.25 + 0.4) * 110))


def test_of_many_sizes_five_are_shown_from_the_first_to_the_last():
    blocks = [nn.Conv2d(3, 3, 2) for _ in range(9)]
    trace = trace_prediction(nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten()), torch.rand(3, 12, 12), k=1)
    assert [layer.name for layer in chosen_layers(trace.layers)] == ["0", "2", "4", "6", "8"]


def test_layers_of_resnet18_are_the_ends_of_its_stages():
    trace = trace_prediction(torchvision.models.resnet18(), torch.rand(3, 64, 64), k=1)
    rows = chosen_layers(trace.layers)
    assert [row.name for row in rows] == ["relu", "layer1.1.relu", "layer2.1.relu", "layer3.1.relu", "layer4.1.relu"]
    assert {row.call for row in rows[1:]} == {2}


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_networks_without_maps_and_images_in_grey_have_a_picture_too(channels):
    network = nn.Sequential(nn.Flatten(), nn.Linear(channels * 16, 2))
    figure = layer_picture(trace_prediction(network, torch.rand(channels, 4, 4), k=2))
    assert len(figure.axes) == 2
    assert figure.axes[0].images[0].get_array().shape == (4, 4, 3)
    png_of(figure)
