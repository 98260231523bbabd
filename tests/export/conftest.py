"""A small trained model, with its report beside it."""

from __future__ import annotations

import pytest
from pytorch_lightning import Trainer, seed_everything

from topk_lightning import EmojiDataModule, TopKClassifier, write_report


@pytest.fixture(scope="session")
def fruit():
    return EmojiDataModule(classes=["food-fruit"], image_size=32)


@pytest.fixture(scope="session")
def checkpoint(fruit, tmp_path_factory):
    seed_everything(0)
    folder = tmp_path_factory.mktemp("run")
    model = TopKClassifier(
        {"class_path": "small_cnn", "init_args": {"width": 8}}, class_names=fruit.class_names, lr=0.01
    )
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=3, enable_model_summary=False, accelerator="cpu", **options)
    trainer.fit(model, fruit)
    write_report(model, fruit, folder / "report.html")
    return model.save(folder / "best.ckpt")
