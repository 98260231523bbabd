"""Colours that stand in one figure, as readers with a colour vision deficiency see them."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from topk_lightning.drawing import COLOURS, DARK, LIGHT

# Machado, Oliveira and Fernandes (2009), severity 1.0: linear RGB as it is to what is seen.
SEEN = {
    "all cones": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
FIGURES = {
    **{
        f"{name} of {kind}": tuple(scheme[colour] for colour in colours)
        for kind, scheme in (("light", LIGHT), ("dark", DARK))
        for name, colours in {
            "curves": [f"series_{index}" for index in range(5)],
            "ranks": ["right", "accent", "far"],
            "guesses": ["right", "wrong", "far"],
        }.items()
    },
    "matplotlib": COLOURS,
}


def lab(colour: str, seen: str) -> torch.Tensor:
    """Return CIE L*a*b* under daylight."""
    value = torch.tensor([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = torch.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    xyz = torch.tensor(XYZ) @ (torch.tensor(SEEN[seen]).float() @ linear).clamp(0, 1) / torch.tensor([0.9505, 1, 1.089])
    x, y, z = torch.where(xyz > 0.008856, xyz ** (1 / 3), 7.787 * xyz + 16 / 116)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("figure", FIGURES)
def test_colours_of_one_figure_are_told_apart(figure, seen):
    for one, other in combinations(FIGURES[figure], 2):
        # A difference of 2.3 is just noticed side by side; lines and bars a thumb apart need several times that.
        assert torch.dist(lab(one, seen), lab(other, seen)) > 10, (one, other)


def test_red_and_green_of_equal_lightness_would_fail():
    assert torch.dist(lab("#c44d3d", "deuteranopia"), lab("#7c7b3c", "deuteranopia")) < 10
    assert torch.dist(lab("#c44d3d", "all cones"), lab("#7c7b3c", "all cones")) > 40
