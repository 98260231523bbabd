"""What collecting requests into batches is worth to a server with 50 clients at once.

Run with ``python tests/benchmarks/bench_serve.py [requests]``.

The real command serves a real checkpoint in a process of its own, once with batches of up to 32 and once with batches of
one; 50 clients with a connection each ask again as soon as they are answered. The two take turns and the best of three
rounds counts, since a busy machine slows now one, now the other. The clients share the machine with the server, whose
network computes on one thread.
"""

from __future__ import annotations

import asyncio
import io
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.table import Table

from topk_lightning.classifier import TopKClassifier
from topk_lightning.data import EmojiDataModule

CLIENTS, ROUNDS, BATCH_SIZES = 50, 3, (1, 32)
NETWORKS = {"SmallCNN, 64×64": ("small_cnn", 64), "resnet18, 128×128": ("resnet18", 128)}


def trained_a_step(network: str, image_size: int, folder: Path) -> tuple[Path, bytes]:
    """Return a checkpoint of 462 classes and a PNG of the size that it was trained with."""
    data = EmojiDataModule(image_size=image_size, batch_size=8)
    model = TopKClassifier(network, num_classes=data.num_classes)
    options = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = pl.Trainer(max_steps=1, limit_val_batches=0, accelerator="cpu", **options)
    trainer.fit(model, data)
    trainer.save_checkpoint(folder / f"{network}.ckpt")
    picture = io.BytesIO()
    data.pictures("test", [0])[0].resize((image_size, image_size)).save(picture, "PNG")
    return folder / f"{network}.ckpt", picture.getvalue()


def serve(checkpoint: Path, batch_size: int) -> tuple[subprocess.Popen[str], int]:
    """Start the command and return its process and port."""
    command = [sys.executable, "-m", "topk_lightning", "serve", str(checkpoint), "--port", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command += ["--batch-size", str(batch_size)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    return process, int(re.findall(r"\d+", process.stdout.readline())[-1])


async def client(port: int, request: bytes, left: list[int], times: list[float]) -> None:
    """Ask again and again over one connection, as long as requests are left.

    A server that gets hardly any time of a busy machine ends a connection before its upload was read; then the same is asked
    over a new one, and the time goes on.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while left[0] > 0:
        left[0] -= 1
        started = time.perf_counter()
        while True:
            try:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))  # type: ignore[index]
                break
            except (ConnectionResetError, BrokenPipeError, asyncio.IncompleteReadError):
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert head.startswith(b"HTTP/1.1 200"), head
        times.append(time.perf_counter() - started)
    writer.close()


async def ask(port: int, picture: bytes, requests: int) -> tuple[float, list[float]]:
    """Return the seconds that all requests took together, and those of each."""
    body = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + picture + b"\r\n--x--\r\n"
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    left, times = [requests], list[float]()
    started = time.perf_counter()
    await asyncio.gather(*(client(port, request, left, times) for _ in range(CLIENTS)))
    return time.perf_counter() - started, times


def measure(checkpoint: Path, picture: bytes, requests: int) -> dict[int, tuple[float, list[float]]]:
    """Return the best round of each batch size."""
    servers = {size: serve(checkpoint, size) for size in BATCH_SIZES}
    rounds: dict[int, list[tuple[float, list[float]]]] = {size: [] for size in BATCH_SIZES}
    try:
        for size in BATCH_SIZES * (ROUNDS + 1):
            rounds[size].append(asyncio.run(ask(servers[size][1], picture, requests)))
    finally:
        for process, _ in servers.values():
            process.send_signal(signal.SIGTERM)
            process.wait()
    return {size: min(found[1:]) for size, found in rounds.items()}  # the first round warms up


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    table = Table("network", "batch size", "requests/s", "median", "95 % within", "ratio")
    for name, (network, image_size) in NETWORKS.items():
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = measure(*trained_a_step(network, image_size, Path(folder)), requests)
        for size, (seconds, times) in found.items():
            *_, late = statistics.quantiles(times, n=20)
            cells = [f"{requests / seconds:.0f}", f"{1e3 * statistics.median(times):.0f} ms", f"{1e3 * late:.0f} ms"]
            table.add_row(name, str(size), *cells, f"{found[1][0] / seconds:.2f}×")
    Console().print(table)
    print(
        f"{CLIENTS} clients, {requests} requests, {os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}"
    )


if __name__ == "__main__":
    main()
