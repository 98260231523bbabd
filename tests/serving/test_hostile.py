"""Files and forms that a server must bear: each gets a sentence, and the next request works."""

from __future__ import annotations

import resource
import struct
import threading
import zlib

import httpx
import pytest

from tests.serving.asking import ONE, encoded, post
from topk_lightning.data import FORMATS

pytestmark = pytest.mark.usefixtures("next_request_works")

KNOWN = ", ".join(FORMATS)


def png(width, height):
    """A PNG whose header claims so many pixels; its data are the first rows of them."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**7)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "status", "sentence"),
    [
        (b"", 400, f"image must be a picture in {KNOWN}, got 0 bytes of something else."),
        (b"Hello, world", 415, f"image must be a picture in {KNOWN}, got 12 bytes of something else."),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            415,
            f"image must be a picture in {KNOWN}, got 47 bytes",
        ),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, f"image must be a picture in {KNOWN}, got 41 bytes"),
        (
            encoded("JPEG", (300, 300))[:-700],
            422,
            "image must be a readable image, got OSError (image file is truncated",
        ),
        (encoded("PNG")[:60], 422, "image must be a readable image, got "),
        (encoded("TIFF", mode="F"), 422, "image must be a readable image, got ValueError (mode 'F'"),
        (png(60_000, 60_000), 413, "image must have at most 1,000,000 pixels, got 60000 × 60000."),
        (png(10_000, 10_000), 413, "image must have at most 1,000,000 pixels, got "),
        (png(1001, 1000), 413, "image must have at most 1,000,000 pixels, got 1001 × 1000."),
        (
            png(300_000, 1),
            413,
            "image must have at most 1,000,000 pixels, got 300000 × 1, which preprocessing makes 64 × 19200000.",
        ),
        (bytes(200_001), 413, "image must be a file of at most 200,000 bytes, got more."),
        (bytes(5_000_000), 413, "image must be a file of at most 200,000 bytes, got more."),
    ],
    ids=lambda value: None if isinstance(value, int) else str(value[:16]),
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_wrong_file_gets_a_sentence(address, data, status, sentence):
    answer = post(address, data)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert answer.json()["error"].startswith(sentence)


def test_memory_does_not_grow_with_a_bomb(address):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, the most so far
    threads = [threading.Thread(target=post, args=(address, png(60_000, 60_000))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < 60_000 * 60_000 * 3 / 20, f"{grown} KiB"


@pytest.mark.parametrize(
    ("kind", "body", "status", "sentence"),
    [
        ("multipart/form-data; boundary=x", ONE % b"a" + ONE % b"b" + b"--x--\r\n", 400, "'image', 'image'"),
        ("multipart/form-data; boundary=x", (ONE % b"a").replace(b"image", b"file") + b"--x--\r\n", 400, "got 'file'."),
        (
            "multipart/form-data; boundary=x",
            b"--x--\r\n",
            400,
            "the form must have exactly one field, 'image', got none.",
        ),
        ("multipart/form-data; boundary=x", ONE % b"a", 400, "got one that breaks off."),
        ("multipart/form-data; boundary=x", b"no boundary at all", 400, "got one that breaks off or is malformed"),
        ("multipart/form-data; boundary=x", b"--x\r\nA: " + b"a" * 150_000, 400, "the "),
        ("multipart/form-data; boundary=" + "x" * 5000, b"", 400, "got one that breaks off"),
        ("multipart/form-data", ONE % b"a", 400, "got one that does not say its boundary."),
        ("image/png", encoded("PNG"), 415, "must be a form of type multipart/form-data, got 'image/png'."),
        ("", b"", 415, "must be a form of type multipart/form-data, got ''."),
    ],
)
def test_a_wrong_form_gets_a_sentence(address, kind, body, status, sentence):
    answer = httpx.post(f"{address}/predict", content=body, headers={"Content-Type": kind}, timeout=30)
    assert answer.status_code == status, answer.text
    assert sentence in answer.json()["error"]
