"""A small trained classifier, shared by the tests of its report."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import pytorch_lightning as pl
import torch

from topk_lightning import EmojiDataModule, TopKClassifier, TrainingTrace, write_report
from topk_lightning.prediction import TrainedModel
from topk_lightning.report._evaluation import Evaluator
from topk_lightning.report._labelled_images import images_of_loader

CLASSES = 24


class Trained(NamedTuple):
    folder: object
    checkpoint: object
    data: EmojiDataModule
    classifier: TopKClassifier


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """24 emoji, three epochs: some right, most wrong."""
    folder = tmp_path_factory.mktemp("trained")
    pl.seed_everything(0, verbose=False)
    data = EmojiDataModule(32, 24, classes=CLASSES)
    classifier = TopKClassifier("small_cnn", class_names=data.class_names, lr=4e-3)
    trainer = pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[TrainingTrace(str(folder / "epochs.csv"))],
    )
    trainer.fit(classifier, data)
    trainer.save_checkpoint(folder / "model.ckpt")
    return Trained(folder, folder / "model.ckpt", data, classifier)


class Points(torch.utils.data.Dataset):
    """A thousand clouds of points; those of every seventh class reach into the next class."""

    def __init__(self, images: int, classes: int = 1000) -> None:
        generator = torch.Generator().manual_seed(0)
        self.centres = torch.randn(classes, 3 * 4 * 4, generator=generator)
        self.classes = [f"class {index}" for index in range(classes)]
        self.target = torch.arange(images) % classes
        drawn = 1.3 * torch.randn(images, 48, generator=generator)
        mixed = torch.where(self.target % 7 == 0, 0.5, 0.0).unsqueeze(1)
        self.images = torch.lerp(self.centres[self.target], self.centres[(self.target + 1) % classes], mixed) + drawn

    def __len__(self):
        return len(self.target)

    def __getitem__(self, index):
        return self.images[index].view(3, 4, 4), self.target[index]

    def __getitems__(self, indices):
        return list(zip(self.images[indices].view(-1, 3, 4, 4), self.target[indices], strict=True))


class Nearest(torch.nn.Module):
    """Scores each class by how well the image lies in the direction of its centre."""

    def __init__(self, centres: torch.Tensor) -> None:
        super().__init__()
        self.centres = torch.nn.Parameter(centres)

    def forward(self, images):
        return 0.3 * images.flatten(1) @ self.centres.T


@pytest.fixture(scope="session")
def thousand(tmp_path_factory):
    """The report of 1,000 classes and 50,000 images, and the bytes that are kept of an image."""
    path = tmp_path_factory.mktemp("thousand") / "report.html"
    data = Points(50_000)
    network = Nearest(data.centres)
    some = images_of_loader(torch.utils.data.DataLoader(Points(100), 50), TrainedModel.load(network))
    parts = vars(Evaluator(TrainedModel.load(network), 1000).evaluate(some, 5)).values()
    kept = sum(part.numel() * part.element_size() for part in parts if isinstance(part, torch.Tensor)) / 100
    write_report(network, torch.utils.data.DataLoader(data, 1000), path)
    return path, kept
