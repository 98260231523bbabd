"""Clients that a server must bear: from elsewhere, too slow, too talkative, or gone before the answer."""

from __future__ import annotations

import contextlib
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import torch
from PIL import Image
from torch import nn

from tests.serving.asking import HEAD, ONE, connect, encoded, post, raw
from tests.serving.servers import running
from topk_lightning.classifier import TopKClassifier
from topk_lightning.serving import create_app

pytestmark = pytest.mark.usefixtures("next_request_works")


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
        ("Host: evil@localhost", "got 'evil@localhost'."),
        ("Host: localhost/evil", "got 'localhost/evil'."),
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


def test_huge_headers_and_nonsense_are_refused(address):
    assert raw(address, "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + "x" * 200_000 + "\r\n\r\n")[0] == 400
    assert raw(address, "Hello\r\n\r\n")[0] == 400


def test_reading_stops_at_the_limit_whatever_length_is_claimed(address):
    """A body without end: the answer comes while the client still sends."""
    with connect(address) as connection:
        connection.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
        body = ONE.partition(b"%b")[0] + bytes(400_000)
        connection.sendall(b"%x\r\n%b\r\n" % (len(body), body))
        assert b" 413 " in connection.recv(65536)
    with connect(address) as connection:
        connection.sendall(f"{HEAD}Content-Length: 99999999999999\r\n\r\n".encode())
        assert b" 413 " in connection.recv(65536)


def test_slow_and_vanishing_clients_stop_nobody(address):
    deadline = time.monotonic() + 20
    with contextlib.ExitStack() as clients:
        for _ in range(20):
            connection = clients.enter_context(connect(address))
            connection.sendall(f"{HEAD}Content-Length: 5000\r\n\r\n".encode() + ONE.partition(b"%b")[0])
        while httpx.get(f"{address}/health").json()["requests"] < 20:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert post(address, encoded("PNG")).status_code == 200
    while httpx.get(f"{address}/health").json()["requests"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_where_there_is_no_place_the_client_is_told_when_to_come_again(checkpoint):
    with running(create_app(checkpoint, places=1, seconds=0.5)) as url:
        with connect(url) as slow:
            slow.sendall(f"{HEAD}Content-Length: 5000\r\n\r\n".encode())
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
    body = ONE % encoded("PNG", (900, 900)) + b"--x--\r\n"
    for _ in range(10):
        with connect(address) as connection:  # closed once all is sent
            connection.sendall(f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body)


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
