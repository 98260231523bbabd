"""Every kind of image file becomes upright RGB on white."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.data.drawings import noise
from topk_lightning.data import UnreadableImageError, load_image, to_rgb


def test_transparent_pixels_become_white_and_half_transparent_ones_a_mixture(tmp_path):
    image = Image.new("RGBA", (3, 1), (0, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    image.putpixel((2, 0), (255, 0, 0, 51))  # a fifth of red on white
    image.save(tmp_path / "alpha.png")
    loaded = load_image(tmp_path / "alpha.png")
    assert [loaded.getpixel((x, 0)) for x in range(3)] == [(0, 0, 0), (255, 255, 255), (255, 204, 204)]


@pytest.mark.parametrize("mode", ["LA", "P"])
def test_other_transparent_modes_come_on_white(mode):
    image = Image.new("RGBA", (2, 2), (10, 20, 30, 0))
    if mode == "P":
        image = image.quantize()
        image.info["transparency"] = image.getpixel((0, 0))
    else:
        image = image.convert(mode)
    assert to_rgb(image).getpixel((0, 0)) == (255, 255, 255)


def test_a_photo_stands_upright_as_its_exif_says(tmp_path):
    image = Image.new("RGB", (2, 1), "white")
    image.putpixel((0, 0), (0, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: what was on the left comes on top
    image.save(tmp_path / "turned.png", exif=exif)
    loaded = load_image(tmp_path / "turned.png")
    assert loaded.size == (1, 2)
    assert [loaded.getpixel((0, y)) for y in range(2)] == [(0, 0, 0), (255, 255, 255)]


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    Image.fromarray(np.array([[0, 128 * 257, 65535]], dtype=np.uint16)).save(tmp_path / "deep.png")
    assert [load_image(tmp_path / "deep.png").getpixel((x, 0))[0] for x in range(3)] == [0, 128, 255]


@pytest.mark.parametrize(("mode", "suffix"), [("CMYK", ".jpg"), ("L", ".png"), ("1", ".png"), ("P", ".gif")])
def test_grey_palette_and_cmyk_files_become_rgb(tmp_path, mode, suffix):
    grey = Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode)
    grey.save(tmp_path / f"image{suffix}")
    loaded = load_image(tmp_path / f"image{suffix}")
    assert (loaded.mode, loaded.size) == ("RGB", (8, 8))
    assert min(loaded.getpixel((4, 4))) >= 253


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_of_a_moving_image_the_first_frame_counts(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if suffix == ".webp" else {}
    frames[0].save(tmp_path / f"moving{suffix}", save_all=True, append_images=frames[1:], **options)
    assert load_image(tmp_path / f"moving{suffix}").getpixel((0, 0)) == (255, 0, 0) or suffix == ".gif"
    assert load_image(tmp_path / f"moving{suffix}").getpixel((0, 0))[2] < 10


def test_a_file_that_ends_early_is_unreadable(tmp_path):
    for suffix in (".jpg", ".png", ".webp", ".gif"):
        buffer = io.BytesIO()
        noise((64, 64)).save(buffer, {".jpg": "JPEG"}.get(suffix, suffix[1:].upper()))
        path = tmp_path / f"cut{suffix}"
        path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
        with pytest.raises(UnreadableImageError, match=rf"cut\{suffix} must be a readable image, got "):
            load_image(path)


def test_text_under_the_name_of_an_image_is_unreadable_and_named_once(tmp_path):
    path = tmp_path / "text.png"
    path.write_text("no image")
    with pytest.raises(UnreadableImageError) as error:
        load_image(path)
    assert (
        str(error.value) == f"{path} must be a readable image, got UnidentifiedImageError (cannot identify image file)."
    )


def test_an_empty_file_is_unreadable(tmp_path):
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UnreadableImageError, match=r"empty\.jpg must be a readable image"):
        load_image(tmp_path / "empty.jpg")


@pytest.mark.parametrize(
    ("values", "expected"), [([0, 128, 255], [0, 128, 255]), ([0, 128 * 257, 65535], [0, 128, 255])]
)
def test_grey_of_32_bits_is_scaled_only_where_it_holds_more_than_8(tmp_path, values, expected):
    Image.fromarray(np.array([values], dtype=np.int32)).save(tmp_path / "wide.tif")
    loaded = load_image(tmp_path / "wide.tif")
    assert [loaded.getpixel((x, 0)) for x in range(3)] == [(value,) * 3 for value in expected]


def test_floating_point_grey_is_refused_by_its_mode(tmp_path):
    path = tmp_path / "float.tif"
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32)).save(path)
    reason = r"got ValueError \(mode 'F' does not say which value is white\)\.$"
    with pytest.raises(UnreadableImageError, match=rf"^{re.escape(str(path))} must be a readable image, {reason}"):
        load_image(path)
    with Image.open(path) as image, pytest.raises(UnreadableImageError, match=rf"^image must .*{reason}"):
        to_rgb(image)
