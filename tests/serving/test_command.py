"""`topk-lightning serve` as a process: what it says, how it stops, and what it says where it cannot start."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import sys
import threading

import httpx
import pytest
from PIL import Image

from tests.serving.servers import command, stop
from topk_lightning.cli import main
from topk_lightning.prediction import predict_topk


@pytest.fixture
def started():
    """Return started(*words) → the process and the address it says; it is killed if the test does not stop it."""
    processes = []

    def start(*words):
        process = command(*words)
        processes.append(process)
        first = process.stdout.readline()
        assert first.startswith("Serving "), process.communicate()
        return process, re.search(r"http://\S+", first)[0]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_it_serves_its_options_and_ends_at_ctrl_c_with_the_last_answer_given(started, checkpoint, emoji, tmp_path):
    (picture,) = emoji.pictures("test", [0])
    picture.save(tmp_path / "picture.png")
    size = (tmp_path / "picture.png").stat().st_size
    process, url = started(str(checkpoint), "--port", "0", "--k", "2", "--max-bytes", str(size), "--max-pixels", "5000")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
    files = {"image": (tmp_path / "picture.png").read_bytes()}
    answer = httpx.post(f"{url}/predict", files=files, timeout=30).json()
    assert [p["class"] for p in answer["predictions"]] == [p.label for p in predict_topk(checkpoint, picture, k=2)]
    Image.new("1", (100, 51)).save(tmp_path / "large.png")
    for data, limit in (((tmp_path / "large.png").read_bytes(), "5,000 pixels"), (bytes(size + 1), f"{size:,} bytes")):
        answer = httpx.post(f"{url}/predict", files={"image": data}, timeout=30)
        assert answer.status_code == 413
        assert f"at most {limit}" in answer.json()["error"]

    # A request that is under way at Ctrl-C is answered still: its second half comes later.
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    body = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + files["image"] + b"\r\n--x--\r\n"
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:100])
        while not httpx.get(f"{url}/health").json()["requests"]:
            pass
        process.send_signal(signal.SIGINT)
        threading.Timer(0.3, connection.sendall, [body[100:]]).start()
        assert b"HTTP/1.1 200 OK" in connection.recv(65536)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "Stopped.\n")


def test_sigterm_gives_what_is_under_way_its_time_and_says_how_many_were_dropped(started, checkpoint):
    process, url = started(str(checkpoint), "--port", "0")
    host, port = url.removeprefix("http://").split(":")
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    for _ in range(3):  # leave no line each
        assert httpx.post(f"{url}/predict", headers=broken, content=b"--y nothing").status_code == 400
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(2):  # whose second halves never come
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
            connection.sendall(f"{head}Content-Length: 1000\r\n\r\n".encode() + b"--x\r\n")
        while httpx.get(f"{url}/health").json()["requests"] < 2:
            pass
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)  # nine, and what a busy machine adds
        assert b"HTTP/1.1 503" in connection.recv(65536)
    assert (process.returncode, out) == (143, "")
    assert err == "Stopped. 2 requests under way could not be answered in time.\n"


def test_bound_to_more_than_loopback_it_warns_and_goes_by_any_name(started, checkpoint):
    process, url = started(str(checkpoint), "--host", "0.0.0.0", "--port", "0")
    port = url.rpartition(":")[2]
    answer = httpx.get(f"http://127.0.0.1:{port}/health", headers={"Host": "classifier.example"})
    assert answer.json()["classes"] == 12
    _, err = stop(process)
    assert err == "warning: everyone who can reach 0.0.0.0 can use it; it has no password, no encryption.\nStopped.\n"
    assert process.returncode == 130


def error_of(capsys, *words):
    assert main(["serve", *map(str, words)]) == 1
    return capsys.readouterr().err.removeprefix("error: ").strip()


def test_what_cannot_be_served_is_said_in_a_sentence(checkpoint, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        sentence = (
            f"--port must be a free port, got {port}, which another program uses. Pass --port 0 for any free one."
        )
        assert error_of(capsys, checkpoint, "--port", port) == sentence
    sentence = "--port must be from 0 to 65535, got 70000."
    assert error_of(capsys, checkpoint, "--port", 70000) == f"{sentence} 0 stands for any free one."
    assert (
        error_of(capsys, checkpoint, "--host", "192.0.2.1")
        == "--host must be an address of this machine, got '192.0.2.1'."
    )
    missing = tmp_path / "none.ckpt"
    assert (
        error_of(capsys, missing)
        == f"checkpoint must be an existing file or the folder of a run, got {str(missing)!r}."
    )
    sentence = "k must be at most the number of classes (12), got 13. Use a smaller k."
    assert error_of(capsys, checkpoint, "--k", 13) == sentence
    for option in ("batch_size", "max_bytes", "max_pixels"):
        words = (f"--{option.replace('_', '-')}", 0)
        assert error_of(capsys, checkpoint, *words) == f"{option} must be at least 1, got 0."


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "python_multipart"])
def test_without_the_extra_it_says_what_to_install(checkpoint, capsys, monkeypatch, package):
    kept = {name: module for name, module in sys.modules.items() if name.startswith("topk_lightning.serving")}
    for name in kept:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    sentence = f"starlette, uvicorn and python-multipart must be installed to serve, got none called {package}."
    assert error_of(capsys, checkpoint) == f'{sentence} Install them with: pip install "topk-lightning[server]".'
