"""A small classifier of twelve emoji, trained a little, and a server of it."""

from __future__ import annotations

import time

import httpx
import pytest
import pytorch_lightning as pl

from tests.serving.asking import encoded, post
from tests.serving.servers import running
from topk_lightning.classifier import TopKClassifier
from topk_lightning.data import EmojiDataModule
from topk_lightning.serving import create_app


@pytest.fixture(scope="session")
def emoji():
    return EmojiDataModule(classes=12, batch_size=12, num_workers=0)


@pytest.fixture(scope="session")
def checkpoint(emoji, tmp_path_factory):
    pl.seed_everything(0, verbose=False)
    model = TopKClassifier("small_cnn", num_classes=emoji.num_classes)
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(max_epochs=3, accelerator="cpu", enable_model_summary=False, **options)
    trainer.fit(model, emoji)
    path = tmp_path_factory.mktemp("served") / "model.ckpt"
    trainer.save_checkpoint(path)
    return path


@pytest.fixture(scope="module")
def address(checkpoint):
    """A server of the checkpoint that takes at most 200,000 bytes and 1,000,000 pixels."""
    with running(create_app(checkpoint, k=3, max_bytes=200_000, max_pixels=1_000_000)) as url:
        yield url


@pytest.fixture
def next_request_works(address):
    """After the test a picture is answered, and nothing is under way any more."""
    yield
    assert post(address, encoded("PNG")).status_code == 200
    deadline = time.monotonic() + 20
    while httpx.get(f"{address}/health").json()["requests"]:
        assert time.monotonic() < deadline, "a request is still under way"
        time.sleep(0.02)
