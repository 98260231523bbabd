"""What a server must bear: each is answered with a sentence, reads no more than it may, and the next request works."""

from __future__ import annotations

import contextlib
import io
import json
import resource
import socket
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import torch
from PIL import Image
from torch import nn

from tests.serving.servers import running
from topk_lightning.classifier import TopKClassifier
from topk_lightning.serving import create_app

KNOWN = "AVIF, BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP"


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


def encoded(kind, size=(64, 64), mode="RGB", **options):
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def post(address, data, field="image"):
    return httpx.post(f"{address}/predict", files={field: ("picture.png", data)}, timeout=30)


@pytest.fixture(autouse=True)
def the_next_request_works(address):
    yield
    assert post(address, encoded("PNG")).status_code == 200
    assert httpx.get(f"{address}/health").json()["requests"] == 0


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
        (png(60_000, 60_000), 413, "image must have at most 1,000,000 pixels, got far more."),
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


ONE = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n%b\r\n'


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


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/static/", "/page.js", "/predict/"]
)
def test_no_other_path_is_readable(address, path):
    status, _, body = raw(address, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert status == 404
    assert json.loads(body) == {"error": "the address must be /, /predict or /health, got another one."}


@pytest.mark.parametrize(("method", "path"), [("GET", "/predict"), ("POST", "/"), ("DELETE", "/health")])
def test_another_method_is_refused(address, method, path):
    answer = httpx.request(method, address + path)
    assert answer.status_code == 405
    assert answer.json()["error"].startswith("the method must be POST for /predict and GET for / and /health, got")


def test_every_answer_has_the_headers_of_a_page_that_keeps_to_itself(address):
    for answer in (httpx.get(address), httpx.get(f"{address}/none"), post(address, b""), post(address, encoded("PNG"))):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "server" not in answer.headers
    policy = dict(part.split(" ", 1) for part in httpx.get(address).headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert "unsafe" not in str(policy)
    assert httpx.options(f"{address}/predict", headers={"Origin": address}).status_code == 405


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ("Host: evil.example", "the header Host must name 127.0.0.1 or ::1 or localhost, got 'evil.example'."),
        ("Host: 127.0.0.1.evil.example:80", "got '127.0.0.1.evil.example:80'."),
        ("Host: [::1", "got '[::1'."),
        (
            "Host: localhost\r\nOrigin: http://evil.example",
            "the header Origin must name http://localhost, got 'http://evil",
        ),
        ("Host: localhost\r\nOrigin: null", "the header Origin must name http://localhost, got 'null'."),
    ],
)
def test_other_names_and_other_sites_are_refused(address, headers, sentence):
    status, _, body = raw(address, f"GET /health HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n")
    assert status == 403
    assert sentence in json.loads(body)["error"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8000"])
def test_its_own_names_are_not(address, host):
    assert raw(address, f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")[0] == 200


def raw(address, request):
    """Send bytes as they are, and return status, headers and body of the answer."""
    host, port = address.removeprefix("http://").split(":")
    with contextlib.closing(socket.create_connection((host, int(port)), timeout=20)) as connection:
        connection.sendall(request.encode())
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # what was sent after the refusal nobody reads
            while part := connection.recv(65536):
                answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode(), body


def test_huge_headers_and_nonsense_are_refused(address):
    assert raw(address, "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + "x" * 200_000 + "\r\n\r\n")[0] == 400
    assert raw(address, "Hello\r\n\r\n")[0] == 400


def test_reading_stops_at_the_limit_whatever_length_is_claimed(address):
    """A body without end: the answer comes while the client still sends."""
    host, port = address.removeprefix("http://").split(":")
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    with contextlib.closing(socket.create_connection((host, int(port)), timeout=20)) as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        body = ONE.partition(b"%b")[0] + bytes(400_000)
        connection.sendall(b"%x\r\n%b\r\n" % (len(body), body))
        assert b" 413 " in connection.recv(65536)
    with contextlib.closing(socket.create_connection((host, int(port)), timeout=20)) as connection:
        connection.sendall(f"{head}Content-Length: 99999999999999\r\n\r\n".encode())
        assert b" 413 " in connection.recv(65536)


def test_slow_and_vanishing_clients_stop_nobody(address):
    host, port = address.removeprefix("http://").split(":")
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    slow = [socket.create_connection((host, int(port)), timeout=20) for _ in range(20)]
    for connection in slow:
        connection.sendall(f"{head}Content-Length: 5000\r\n\r\n".encode() + ONE.partition(b"%b")[0])
    deadline = time.monotonic() + 10
    while httpx.get(f"{address}/health").json()["requests"] < 20:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert post(address, encoded("PNG")).status_code == 200
    for connection in slow:
        connection.close()
    while httpx.get(f"{address}/health").json()["requests"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_where_there_is_no_place_the_client_is_told_when_to_come_again(checkpoint):
    with running(create_app(checkpoint, places=1, seconds=0.5)) as url:
        host, port = url.removeprefix("http://").split(":")
        head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        with contextlib.closing(socket.create_connection((host, int(port)), timeout=20)) as slow:
            slow.sendall(f"{head}Content-Length: 5000\r\n\r\n".encode())
            while not httpx.get(f"{url}/health").json()["requests"]:
                time.sleep(0.01)
            refused = post(url, encoded("PNG"))
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            sentence = "the server must have at most 1 requests at a time, got one more. Try again in a second."
            assert refused.json() == {"error": sentence}
            answer = slow.recv(65536)  # its half second is over
            assert b" 408 " in answer
            assert b"the body must arrive within 0.5 seconds, got a part of it." in answer
        assert post(url, encoded("PNG")).status_code == 200


def test_a_client_that_goes_before_the_answer_hurts_nobody(address):
    for _ in range(10):
        with pytest.raises(httpx.TimeoutException):
            httpx.post(f"{address}/predict", files={"image": encoded("PNG", (900, 900))}, timeout=0.001)


class Moody(nn.Module):
    """Returns NaN for a black picture, and fails at a batch with a white one."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, images):
        means = images.mean((2, 3))
        if (means > 0.99).all(1).any():
            raise RuntimeError("white")
        return torch.where((means < -0.99).all(1, keepdim=True), torch.nan, means) * self.scale


@pytest.fixture(scope="module")
def moody(tmp_path_factory):
    """A server of a network that fails at some pictures, and its address."""
    preprocessing = {"image_size": 8, "mean": [0.5] * 3, "std": [0.5] * 3, "resize": "crop"}
    model = TopKClassifier(Moody(), num_classes=3)
    path = tmp_path_factory.mktemp("moody") / "moody.ckpt"
    parameters = {**model.hparams, "network": None, "num_classes": 3, "preprocessing": preprocessing}
    torch.save({"state_dict": model.state_dict(), "hyper_parameters": dict(parameters)}, path)
    with running(create_app(path, k=2, places=60, network=Moody())) as url:
        yield url


def test_a_failing_picture_does_not_hurt_its_batch(moody):
    colours = ["black", "red", "white", "blue"] * 8
    files = []
    for colour in colours:
        files.append(io.BytesIO())
        Image.new("RGB", (9, 9), colour).save(files[-1], "PNG")
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda file: post(moody, file.getvalue()), files))
    for colour, answer in zip(colours, answers, strict=True):
        if colour in ("red", "blue"):
            assert answer.json()["predictions"][0]["index"] == {"red": 0, "blue": 2}[colour]
        else:
            assert answer.status_code == 500
            assert answer.json()["error"] == "The server failed at this request; its terminal says why."
