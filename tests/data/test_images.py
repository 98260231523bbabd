"""Every kind of image file becomes upright RGB on white."""

from __future__ import annotations

import base64
import io
import pickle
import re
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.data.drawings import noise
from topk_lightning.data import FORMATS, Preprocessing, TooLargeImageError, UnreadableImageError, load_image, to_rgb


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


# 64×64 pixels, the left half red and the right half blue, as a phone would write it.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAVZtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAAAAAERA"
    "AAEAAQAAAAABegABAAAAAAAAACIAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA1mlwcnAAAAC3aXBjbwAA"
    "AHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq"
    "SSmubgIaDAgAAAMAyAAAAwAIQGIAAQAHRAHBcrAiQAAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAABBwaXhpAAAAAAMICAgA"
    "AAAXaXBtYQAAAAAAAAABAAEEgQIDBAAAACptZGF0AAAAHigBrwtg+sbB1//4eTv0DEHOYNt/6aM3wrk/jdX+fg=="
)


def png(width, height):
    """A PNG in a kilobyte whose header claims so many pixels."""
    header = zlib.compress(b"\0" * 100)
    parts = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", header), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


CROP = Preprocessing(224, (0.5,) * 3, (0.5,) * 3)
STRETCH = Preprocessing(224, (0.5,) * 3, (0.5,) * 3, resize="stretch")


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(60_000, 60_000))
    with pytest.raises(TooLargeImageError) as raised:
        load_image(path)
    assert str(raised.value) == (
        f"{path} must have at most 178,956,970 pixels, got 60000 × 60000. A larger max_pixels lets it in."
    )
    with pytest.raises(UnreadableImageError, match="must be a readable image"):  # allowed, and broken
        load_image(path, max_pixels=60_000**2)


def test_a_strip_that_resizing_would_blow_up_is_refused_by_its_shape(tmp_path):
    path = tmp_path / "strip.png"
    path.write_bytes(png(1_000_000, 1))
    with pytest.raises(
        TooLargeImageError, match=r"got 1000000 × 1, which preprocessing makes 224 × 224000000\. A larger"
    ):
        CROP.load(path)
    Image.new("RGB", (3000, 2)).save(path)
    assert CROP.load(path).size == STRETCH.load(path).size == (3000, 2)
    with pytest.raises(TooLargeImageError, match="which preprocessing makes 224 × 336000"):
        CROP.load(path, max_pixels=10**7)
    assert STRETCH.load(path, max_pixels=10**7).size == (3000, 2)


def test_the_error_comes_back_whole_from_a_worker_process(tmp_path):
    with pytest.raises(TooLargeImageError) as raised:
        load_image(io.BytesIO(png(9, 9)), max_pixels=80)
    again = pickle.loads(pickle.dumps(raised.value))
    assert (type(again), str(again), again.sentence) == (type(raised.value), str(raised.value), raised.value.sentence)


def test_large_pictures_warn_of_nothing(tmp_path):
    Image.new("1", (10_000, 9_000)).save(tmp_path / "large.png")  # above the number where Pillow itself warns
    assert load_image(tmp_path / "large.png").size == (10_000, 9_000)


def test_no_format_is_read_whose_reader_starts_another_program(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    with pytest.raises(UnreadableImageError, match=r"got UnidentifiedImageError \(cannot identify image file\)\.$"):
        load_image(path)
    assert "EPS" not in FORMATS


@pytest.mark.parametrize("value", [0, 300, 65535])
def test_sixteen_bit_grey_with_a_transparent_value_comes_on_white(tmp_path, value):
    grey = np.array([[0, 300, 65535]], dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "clear.png", transparency=value)
    expected = [255 if number == value else number // 257 for number in (0, 300, 65535)]
    assert [load_image(tmp_path / "clear.png").getpixel((x, 0))[0] for x in range(3)] == expected


@pytest.mark.parametrize(
    ("size", "decoded"),
    [
        ((4096, 3072), (1024, 768)),  # a quarter: an eighth would be 384
        ((1024, 2048), (512, 1024)),
        ((1023, 2048), (1023, 2048)),
    ],
)
def test_a_large_jpeg_is_decoded_at_a_fraction_that_keeps_twice_the_size(tmp_path, size, decoded):
    Image.new("RGB", size, "red").save(tmp_path / "photo.jpg")
    Image.new("RGB", size, "red").save(tmp_path / "photo.png", compress_level=1)
    assert CROP.load(tmp_path / "photo.jpg").size == decoded
    assert CROP.load(tmp_path / "photo.png").size == size
    assert load_image(tmp_path / "photo.jpg").size == size


def test_what_a_fraction_of_a_jpeg_gives_the_network_is_what_the_whole_gives(tmp_path):
    noise((64, 48)).resize((2400, 1800), Image.Resampling.BICUBIC).save(tmp_path / "photo.jpg", quality=92)
    transform = CROP.evaluation_transform()
    whole, part = (
        transform(image) for image in (load_image(tmp_path / "photo.jpg"), CROP.load(tmp_path / "photo.jpg"))
    )
    assert (whole - part).abs().max() < 2 * 4 / 255  # four of 256 steps, of a deviation of 0.5


def test_heic_is_read_where_its_reader_is_installed(tmp_path):
    pytest.importorskip("pi_heif")
    (tmp_path / "phone.heic").write_bytes(HEIC)
    loaded = load_image(tmp_path / "phone.heic")
    assert loaded.size == (64, 64)
    (red, _, blue), (other_red, _, other_blue) = loaded.getpixel((8, 32)), loaded.getpixel((56, 32))
    assert red > 150 > 100 > blue
    assert other_blue > 150 > 100 > other_red


def test_without_that_reader_the_sentence_says_what_to_install(tmp_path):
    (tmp_path / "phone.heic").write_bytes(HEIC)
    code = (
        "import sys; sys.modules['pi_heif'] = None\n"
        "from topk_lightning.data import IMAGE_SUFFIXES, find_images, load_image\n"
        "assert '.heic' not in IMAGE_SUFFIXES\n"
        "assert find_images('.').left_out == {'.heic': 1}\n"
        "try:\n"
        "    load_image('phone.heic')\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == (
        "phone.heic must be a readable image, got UnidentifiedImageError (HEIC, which "
        'pip install "topk-lightning[heif]" lets it read).'
    )
