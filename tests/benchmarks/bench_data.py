"""Photos: the look before training, and an epoch, beside Pillow's own decoding and torchvision's ImageFolder.

Files are written once into a temporary folder. Every figure is a ratio of two times taken in turn in this run::

    python tests/benchmarks/bench_data.py --images 48 [--quick] [--write]

``--write`` puts the figures into docs/benchmarks.md, see page.py.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

sys.path.insert(0, str(Path(__file__).parent))

from page import Ratio, Table, digits, publish, quick

from topk_lightning.data import ImageFolderDataModule

#: Width and height, how they are saved, and how many times as many of them as were asked for.
KINDS = {
    "12 MP JPEG": ((4032, 3024), {"format": "JPEG", "quality": 90}, 1),
    "12 MP JPEG, progressive": ((4032, 3024), {"format": "JPEG", "quality": 90, "progressive": True}, 1),
    "2 MP PNG": ((1600, 1200), {"format": "PNG"}, 2),
    "256-pixel JPEG": ((256, 256), {"format": "JPEG", "quality": 90}, 20),
}
ROUNDS = 3


def photo(size: tuple[int, int], seed: int) -> Image.Image:
    """Return a picture with detail at every scale, which a JPEG holds in .25 to .4 bytes a pixel."""
    draw = np.random.default_rng(seed)
    layers = np.zeros((size[1], size[0], 3), dtype=np.float32)
    for part, weight in ((8, 60.0), (64, 30.0), (512, 12.0), (0, 7.0)):
        shape = (size[1], size[0]) if part == 0 else (max(2, part * size[1] // size[0]), part)
        grain = draw.normal(128, 40, (*shape, 3)).clip(0, 255).astype(np.uint8)
        layers += (np.asarray(Image.fromarray(grain).resize(size, Image.Resampling.BICUBIC), np.float32) - 128) * (
            weight / 40
        )
    return Image.fromarray((layers + 128).clip(0, 255).astype(np.uint8))


def timed(call, clock=time.perf_counter) -> float:
    """Return the seconds that a call takes."""
    start = clock()
    call()
    return clock() - start


def decode_in_draft(paths: list[Path]) -> None:
    """Decode as Pillow does at the scale that keeps 512 pixels, in as many threads as the look has."""
    from concurrent.futures import ThreadPoolExecutor

    def decode(path: Path) -> None:
        with Image.open(path) as image:
            image.draft("RGB", (512, 512))
            image.convert("RGB")

    with ThreadPoolExecutor(min(8, len(os.sched_getaffinity(0)))) as threads:
        list(threads.map(decode, paths))


def look(root: Path, statistics: str | None = None) -> None:
    """Set a data module up."""
    ImageFolderDataModule(root, statistics=statistics).setup()


def rate(loader: DataLoader, clock=time.process_time) -> float:
    """Return images a second in an epoch."""
    images = len(loader.dataset)
    return images / timed(lambda: [None for _ in loader], clock)


def ours(root: Path, batch_size: int, workers: int) -> DataLoader:
    """Return the training images of a data module that is set up."""
    data = ImageFolderDataModule(root, batch_size=batch_size, num_workers=workers, statistics="imagenet")
    data.setup()
    return data.train_dataloader()


def theirs(root: Path, images: int, batch_size: int, workers: int) -> DataLoader:
    """Return torchvision's data set with the same augmentation, of as many images."""
    steps = [
        v2.PILToTensor(), v2.RandomResizedCrop([224, 224], scale=(0.35, 1.0), antialias=True), v2.RandomHorizontalFlip(),
        v2.ColorJitter(0.3, 0.3, 0.3), v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.5,) * 3, (0.2,) * 3),
    ]  # fmt: skip
    data = Subset(ImageFolder(str(root), v2.Compose(steps)), range(images))
    return DataLoader(data, batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0)


def main() -> None:
    """Write the pictures, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--quick", action="store_true", help="8 images of one kind")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    rows = []
    for kind, (size, settings, times) in list(KINDS.items())[-1 if quick() else 0 :]:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as cache:
            os.environ["XDG_CACHE_HOME"] = cache
            paths = write(Path(folder), 8 if quick() else options.images * times, size, settings)
            rows.append([kind, *measure(paths, size[0] * size[1], Path(folder))])
    columns = [
        "kind",
        "bytes a pixel",
        "first look",
        "statistics given",
        "second look, ms a file",
        "an epoch, times ImageFolder",
        "two workers, by the clock",
    ]
    title = (
        "The first look before training ÷ Pillow's own decoding of the same files in as many threads, the same where statistics are given, "
        "a second look, and how many times as many images an epoch prepares in the same time as torchvision's `ImageFolder` with the same "
        "augmentation. Processor time, no workers; last, the same by the clock with two workers that are there already. The median of three "
        "rounds, and quartiles."
    )
    publish(
        "data",
        [
            Table(
                title,
                columns,
                rows,
                f"{options.images} images of the first two kinds, {2 * options.images} and {20 * options.images} of the others.",
            )
        ],
    )


def write(root: Path, images: int, size: tuple[int, int], settings: dict) -> list[Path]:
    """Write so many pictures of two classes and return their paths."""
    paths = [root / "ab"[number % 2] / f"{number}.{settings['format'].lower()}" for number in range(images)]
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        photo(size, number).save(path, **settings)
    return paths


def measure(paths: list[Path], pixels: int, root: Path) -> list[str]:
    """Return the cells of one line of the table."""
    density = sum(path.stat().st_size for path in paths) / len(paths) / pixels
    decode_in_draft(paths)
    firsts, givens, seconds = [], [], []
    for _ in range(ROUNDS):
        shutil.rmtree(Path(os.environ["XDG_CACHE_HOME"]), ignore_errors=True)
        pillow = timed(lambda: decode_in_draft(paths), time.process_time)
        firsts.append(timed(lambda: look(root), time.process_time) / pillow)
        givens.append(timed(lambda: look(root, "imagenet"), time.process_time) / pillow)
        seconds.append(1000 * timed(lambda: look(root), time.process_time) / len(paths))
    rates = ratios(root, 8, 0, time.process_time)
    clock = ratios(root, 2, 2, time.perf_counter)
    return [digits(density), *(str(Ratio.of(found)) for found in (firsts, givens, seconds, rates, clock))]


def ratios(root: Path, batch_size: int, workers: int, clock) -> list[float]:
    """Return our rate by torchvision's, of rounds in turn, after an epoch in which workers begin."""
    mine = ours(root, batch_size, workers)
    other = theirs(root, len(mine.dataset), batch_size, workers)
    for loader in (mine, other):
        next(iter(loader)) if workers == 0 else rate(loader)
    return [rate(mine, clock) / rate(other, clock) for _ in range(ROUNDS)]


if __name__ == "__main__":
    main()
