"""Preprocessing is plain numbers, and both transforms follow from it."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from tests.data.drawings import noise
from topk_lightning.data import Preprocessing
from topk_lightning.data._augmentation import augmentation
from topk_lightning.data._inspection import Look, statistics_of

HALF = Preprocessing(16, mean=(0.5, 0.5, 0.5), std=(0.25, 0.5, 1.0))


def test_it_survives_json_and_a_weights_only_checkpoint(tmp_path):
    torch.save(HALF.to_dict(), tmp_path / "checkpoint.pt")
    assert Preprocessing.from_dict(json.loads(json.dumps(HALF.to_dict()))) == HALF
    assert Preprocessing.from_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True)) == HALF


def test_pixels_are_scaled_to_one_then_normalised():
    white = HALF.evaluation_transform()(Image.new("RGB", (16, 16), "white"))
    assert white.dtype == torch.float32
    assert white[:, 3, 3].tolist() == [(1 - 0.5) / 0.25, (1 - 0.5) / 0.5, (1 - 0.5) / 1.0]


def test_picture_and_tensor_of_it_give_the_same():
    image = noise((40, 30))
    tensor = torch.tensor(list(image.tobytes()), dtype=torch.uint8).view(30, 40, 3).permute(2, 0, 1)
    transform = HALF.evaluation_transform()
    assert transform(image).equal(transform(tensor))
    assert transform(torch.stack([tensor, tensor])).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("resize", ["crop", "stretch", 20])
@pytest.mark.parametrize("size", [(1, 1), (3, 50), (31, 47), (16, 16), (400, 301)])
def test_evaluation_is_that_of_torchvision_number_for_number(size, resize, interpolation):
    ours = Preprocessing(16, (0.1, 0.2, 0.3), (0.3, 0.2, 0.1), resize=resize, interpolation=interpolation)
    whole = [16, 16] if resize == "stretch" else [16 if resize == "crop" else resize]
    theirs = v2.Compose(
        [
            v2.PILToTensor(),
            v2.Resize(whole, v2.InterpolationMode(interpolation), antialias=True),
            v2.CenterCrop([16, 16]),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(ours.mean, ours.std),
        ]
    )
    picture = noise(size)
    batch = v2.functional.pil_to_tensor(picture).expand(2, 3, *size[::-1])
    assert ours.evaluation_transform()(picture).equal(theirs(picture))
    assert ours.evaluation_transform()(batch).equal(theirs(batch))


def test_crop_keeps_the_proportions_and_stretch_keeps_the_whole():
    wide = Image.new("RGB", (64, 16), "white")
    wide.paste("black", (0, 0, 24, 16))  # black on the left: outside the centre
    crop = Preprocessing(16, (0,) * 3, (1,) * 3).evaluation_transform()(wide)
    stretched = Preprocessing(16, (0,) * 3, (1,) * 3, resize="stretch").evaluation_transform()(wide)
    assert crop.shape == stretched.shape == (3, 16, 16)
    assert crop.min() == 1
    assert stretched.mean().item() == pytest.approx(40 / 64, abs=0.01)


def mirror(image):
    return image.flip(-1)


@pytest.mark.parametrize("augment", ["none", "photos", "randaugment", "trivialaugment", "drawings", mirror])
def test_training_transform_gives_the_shape_of_evaluation(augment):
    images = [HALF.training_transform(augment)(noise(size)) for size in ((30, 20), (16, 16), (5, 40))]
    assert {tuple(image.shape) for image in images} == {(3, 16, 16)}


def test_without_augmentation_training_sees_what_evaluation_sees():
    image = noise((30, 20))
    assert HALF.training_transform("none")(image).equal(HALF.evaluation_transform()(image))


@pytest.mark.parametrize("augment", ["photos", "drawings"])
def test_augmentation_differs_from_call_to_call_and_repeats_with_the_seed(augment):
    image, transform = noise((30, 20)), HALF.training_transform(augment)
    torch.manual_seed(1)
    first, second = transform(image), transform(image)
    torch.manual_seed(1)
    assert transform(image).equal(first)
    assert not second.equal(first)


def test_drawings_stay_on_clean_white_ground_when_they_are_turned():
    invert, affine, revert = augmentation("drawings", 32, lambda image: image)[1:4]
    black = torch.zeros(3, 32, 32, dtype=torch.uint8)
    plain = torch.full((3, 32, 32), 255, dtype=torch.uint8)
    move = v2.Compose([invert, affine, revert])
    for seed in range(20):
        torch.manual_seed(seed)
        assert move(plain).min() == 255  # no seam where the drawing's white meets the new ground
    assert move(black).max() == 255


def test_statistics_of_whole_numbers_are_exact_whatever_the_order():
    images = torch.randint(256, (7, 3, 5, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    looks = [Look.at(image, lambda image: image) for image in images]
    pixels = images.double().div(255).transpose(0, 1).flatten(1)
    mean, std = statistics_of(looks)
    assert (mean, std) == statistics_of(looks[::-1])
    torch.testing.assert_close(torch.tensor(mean, dtype=torch.float64), pixels.mean(1), rtol=1e-14, atol=0)
    torch.testing.assert_close(torch.tensor(std, dtype=torch.float64), pixels.std(1, correction=0), rtol=1e-12, atol=0)


def test_a_constant_channel_is_centred_and_not_divided_by_zero():
    look = Look.at(torch.full((3, 2, 2), 51, dtype=torch.uint8), lambda image: image)
    assert statistics_of([look]) == ((51 / 255,) * 3, (1.0,) * 3)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: Preprocessing(0, (0.5,) * 3, (0.2,) * 3), ValueError, "image_size must be at least 1, got 0."),
        (
            lambda: Preprocessing(8, (0, 0, 0), (1, 0, 1)),
            ValueError,
            "std must be a finite number above 0, got 0.",
        ),
        (
            lambda: Preprocessing(8, (0, 0), (1, 1)),
            ValueError,
            "statistics must be a mean and a deviation of 3 channels each, got ((0, 0), (1, 1)).",
        ),
        (
            lambda: Preprocessing(8, (0.5,) * 3, (0.2,) * 3, resize="squash"),
            ValueError,
            "resize must be one of 'crop', 'stretch', got 'squash'.",
        ),
        (
            lambda: Preprocessing.from_dict({"image_size": 8}),
            ValueError,
            "values must be what Preprocessing.to_dict wrote, got missing ['mean', 'std'].",
        ),
        (
            lambda: Preprocessing.from_dict({**HALF.to_dict(), "size": 3}),
            ValueError,
            "values must be what Preprocessing.to_dict wrote, got unknown ['size'].",
        ),
        (
            lambda: HALF.evaluation_transform()(torch.zeros(3, 8, 8)),
            TypeError,
            "image must be a PIL image or a uint8 tensor, got a torch.float32 tensor.",
        ),
        (
            lambda: HALF.evaluation_transform()("cat.png"),
            TypeError,
            "image must be a PIL image or a uint8 tensor, got str.",
        ),
        (
            lambda: HALF.evaluation_transform()(torch.zeros(8, 8, 3, dtype=torch.uint8)),
            ValueError,
            "image must have shape (..., 3, H, W), got (8, 8, 3).",
        ),
        (lambda: HALF.training_transform(3), TypeError, "augment must be a name or a callable, got int."),
        (
            lambda: HALF.training_transform("much"),
            ValueError,
            "augment must be one of 'none', 'photos', 'randaugment', 'trivialaugment', 'drawings', got 'much'.",
        ),
    ],
)
def test_errors_say_what_is_wanted(call, error, sentence):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == sentence
