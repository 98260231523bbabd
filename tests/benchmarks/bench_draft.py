"""Does a network learn as much from photos that are decoded at a half of their size as from whole ones? Pairs of trainings.

Cut-outs are put on grounds with detail at every scale and saved as JPEGs of 1,040 × 1,040; a network is trained with each seed
twice, once on what the data module decodes, once with Pillow's draft mode switched off::

    python tests/benchmarks/bench_draft.py --stamps /usr/share/tuxpaint/stamps --seeds 6 [--quick] [--write]

``--quick`` takes drawings of the package instead of the stamps (Debian's tuxpaint-stamps-default).
"""

from __future__ import annotations

import argparse
import logging
import random
import statistics
import sys
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytorch_lightning as pl
import torch
from PIL import Image, JpegImagePlugin

sys.path.insert(0, str(Path(__file__).parent))

from bench_data import photo
from page import Table, publish, quick

from topk_lightning import EmojiDataModule, ImageFolderDataModule, TopKClassifier

SIDE = 1040  # is decoded at a half, 520
COPIES = 3  # of each cut-out, at other places on other grounds
FOLDERS = "animals/birds animals/fish animals/insects animals/mammals food/fruit food/vegetables plants/flowers household/tools"
_DRAFT = JpegImagePlugin.JpegImageFile.draft


def cut_outs(stamps: Path) -> list[tuple[str, Image.Image]]:
    """Return the class and the picture of each stamp, with transparency."""
    if quick():
        data = EmojiDataModule(classes=3)
        pictures = zip(data.targets("train"), data.pictures("train", range(len(data.targets("train")))), strict=True)
        return [(str(index), picture.convert("RGBA")) for index, picture in pictures]
    files = [file for folder in FOLDERS.split() for file in sorted((stamps / folder).rglob("*.png"))]
    return [(file.parent.name, Image.open(file).convert("RGBA")) for file in files if "cartoon" not in file.parts]


def write(root: Path, stamps: Path) -> int:
    """Write JPEGs of each cut-out, at a random size and place on one of twelve grounds, and return how many."""
    white = Image.new("RGB", (SIDE, SIDE), "white")
    grounds = [Image.blend(white, photo((SIDE, SIDE), seed), 0.25) for seed in range(2 if quick() else 12)]
    pictures = cut_outs(stamps) * COPIES
    for number, (label, picture) in enumerate(pictures):
        draw = random.Random(number)
        larger = draw.uniform(0.75, 1) * SIDE / max(picture.size)
        picture = picture.resize((round(picture.width * larger), round(picture.height * larger)))
        image = draw.choice(grounds).copy()
        place = draw.randint(0, SIDE - picture.width), draw.randint(0, SIDE - picture.height)
        image.paste(picture, place, picture)
        (root / label).mkdir(exist_ok=True)
        image.save(root / label / f"{number}.jpeg", quality=90)
    return len(pictures)


def data_of(root: Path, seed: int, in_full: bool, files: dict) -> ImageFolderDataModule:
    """Return the data with a split of the seed; each file is decoded once and kept."""
    JpegImagePlugin.JpegImageFile.draft = (lambda *_: None) if in_full else _DRAFT
    data = ImageFolderDataModule(root, 64, 16, 0, val_fraction=0.1, test_fraction=0.4, statistics="imagenet", seed=seed)
    data.setup()
    data._samples = {
        split: replace(of_split, load=files.setdefault(in_full, cache(of_split.load)))
        for split, of_split in data._samples.items()
    }
    return data


def guesses(model: TopKClassifier, data: ImageFolderDataModule) -> torch.Tensor:
    """Return the first guess for each test image."""
    model.eval()
    with torch.no_grad():
        return torch.cat([model(images).argmax(1) for images, _ in data.test_dataloader()])


def pair(root: Path, seed: int, epochs: int, files: dict) -> tuple[float, float, float]:
    """Return the accuracy on half-size and on whole photos, and how often one network's guess is another on the other."""
    right, datas = {}, {}
    for in_full in (False, True):
        data = datas[in_full] = data_of(root, seed, in_full, files)
        pl.seed_everything(seed, verbose=False)
        model = TopKClassifier("small_cnn", data.num_classes, lr=3e-3)
        options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = pl.Trainer(max_epochs=epochs, enable_model_summary=False, accelerator="cpu", **options)
        trainer.fit(model, data)
        guessed = guesses(model, data)
        right[in_full] = (guessed == torch.tensor(data.targets("test"))).double().mean().item()
    other = (guesses(model, datas[False]) != guessed).double().mean().item()
    return right[False], right[True], other


def main() -> None:
    """Write the photos, train the pairs, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stamps", type=Path, default=Path("/usr/share/tuxpaint/stamps"))
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="two seeds of one epoch on drawings")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    if not quick() and not options.stamps.is_dir():
        parser.error(f"no folder {options.stamps}: install tuxpaint-stamps-default, or pass --stamps or --quick")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    seeds, epochs = (2, 1) if quick() else (options.seeds, options.epochs)
    with tempfile.TemporaryDirectory() as folder:
        count, files = write(Path(folder), options.stamps), {}
        pairs = [pair(Path(folder), seed, epochs, files) for seed in range(seeds)]
    half, whole, other = zip(*pairs, strict=True)
    differences = [first - second for first, second in zip(half, whole, strict=True)]
    error = statistics.stdev(differences) / seeds**0.5
    row = [
        f"{statistics.mean(half):.3f}",
        f"{statistics.mean(whole):.3f}",
        f"{statistics.mean(differences):+.3f} ± {error:.3f}",
        f"{statistics.mean(other):.3f}",
    ]
    title = (
        "Test accuracy of a network trained and tested on photos that are decoded at a half of their size, and of one trained and tested "
        "on whole ones: the mean over seeds, and the mean of the paired differences ± its standard error. Last: the share of test images "
        "of which the network of whole photos says another class when it sees them decoded at a half."
    )
    note = (
        f"{count} pictures, {COPIES} of each of Tux Paint's stamps of 8 classes, on pale textured grounds, JPEGs of 1,040 × 1,040; `small_cnn` at 64 × 64, {epochs} "
        f"epochs, 40 % of each class for the test; {seeds} seeds, each with a split of its own."
    )
    columns = ["", "at a half", "whole", "difference", "other first guess"]
    publish("draft", [Table(title, columns, [["top-1", *row]], note)])


if __name__ == "__main__":
    main()
