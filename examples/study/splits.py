"""The splits of the data: each redrawn by its number, by font or by vendor, never by image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from glyphs import CHARACTERS, FONTS, Glyphs, base_letters, load_glyphs
from noise import noisy_labels, similar_groups, tail_counts
from settings import Setting
from torch import Tensor
from torch.nn.functional import avg_pool2d

from topk_lightning.data import EMBEDDED_SHEET, load_sheet, read_index

__all__ = ["Split", "Splits", "available", "bayes_accuracy"]

COMPONENTS = 96
TUNING_IMAGES, TEST_IMAGES = 2000, 4000
# The two renderings of one set of drawings stay together.
_FAMILIES = {
    "noto": 0,
    "noto-v1": 1,
    "fxemoji": 2,
    "fluent-emoji": 3,
    "fluent-emoji-flat": 3,
    "twemoji": 4,
    "emojione": 5,
}
_TUNING_FAMILIES, _TEST_FAMILIES = (1, 2), (0, 3, 4, 5)
_EMOJI_CLASSES = 300


@dataclass(frozen=True)
class Split:
    """Images to train on and to measure on.

    Attributes:
        images: what the networks see, (N, D) features or (N, channels, height, width) pixels.
        labels: training labels, with their noise, (N,).
        measured: images to measure on, (M, D).
        truth: their labels, (M,): clean in a test; in tuning as noisy as the training labels are.
        groups: the group of each class, of which coarse to fine learns first, (C,).
        seed: of the initial weights and of the order of the images.
    """

    images: Tensor
    labels: Tensor
    measured: Tensor
    truth: Tensor
    groups: Tensor
    seed: int

    @property
    def class_counts(self) -> Tensor:
        """Training images per class (C,), at least 1."""
        return torch.bincount(self.labels, minlength=len(self.groups)).clamp(min=1)


@dataclass(frozen=True)
class Splits:
    """Draw the splits of a setting.

    Args:
        setting: which data, which noise.
        cache: folder of the cached data.
        pixels: whether networks see pictures (N, …, 16, 16), of glyphs 32 × 32 in a large network, instead of their
            principal components.
    """

    setting: Setting
    cache: Path
    pixels: bool = False

    def draw(self, number: int, *, tuning: bool) -> Split:
        """Return split `number`; no image that a tuning split measures on is measured on by a test split."""
        seed = 1000 + number if tuning else number
        generator = torch.Generator().manual_seed(seed)
        makers = {"glyphs": self._glyphs, "emoji": self._emoji, "synthetic": self._synthetic}
        images, labels, measured, truth, groups, similar = makers[self.setting.data](generator, tuning)
        noise, share, num_classes = self.setting.noise, self.setting.share, len(groups)
        if noise is not None:
            among = similar if noise == "groups" else torch.zeros(num_classes, dtype=torch.int64)
            labels = noisy_labels(labels, share, among, generator)
            truth = noisy_labels(truth, share, among, generator) if tuning else truth
        if not self.pixels and self.setting.data != "synthetic":
            images, measured = _components(images.flatten(1), measured.flatten(1))
        return Split(images, labels, measured, truth, groups, seed)

    def _glyphs(self, generator: torch.Generator, tuning: bool) -> tuple[Tensor, ...]:
        glyphs, pixels, similar = _known_glyphs(self.cache, self.pixels and self.setting.network != "small_cnn")
        fonts, for_tuning = _shuffled_fonts(glyphs)
        pool = fonts[:for_tuning] if tuning else fonts[for_tuning:]
        place = torch.full((int(fonts.max()) + 1,), len(fonts))
        place[pool[torch.randperm(len(pool), generator=generator)]] = torch.arange(len(pool))
        place = place[glyphs.fonts]
        shuffled = torch.randperm(len(place), generator=generator)
        shuffled = shuffled[place[shuffled] < len(pool)]
        if self.setting.tail:
            order = shuffled[place[shuffled] < 0.85 * len(pool)]
            train = _of_each(glyphs.labels, order, tail_counts(len(CHARACTERS), generator))[: self.setting.train_images]
        else:
            by_font = shuffled[place[shuffled].argsort(stable=True)]
            train = by_font[: self.setting.train_images]
        rest = shuffled[place[shuffled] > place[train].max()]
        measured = rest[: TUNING_IMAGES if tuning else TEST_IMAGES]
        labels = glyphs.labels
        groups = torch.tensor(base_letters())
        return pixels[train], labels[train], pixels[measured], labels[measured], groups, similar

    def _emoji(self, generator: torch.Generator, tuning: bool) -> tuple[Tensor, ...]:
        sheet, classes = load_sheet(EMBEDDED_SHEET), read_index(EMBEDDED_SHEET)["classes"]
        names = sorted({entry["subcategory"] for entry in classes})
        of_class = torch.tensor([names.index(entry["subcategory"]) for entry in classes])
        chosen: list[int] = []  # whole subcategories, in random order, up to the number of classes
        for group in torch.randperm(len(names), generator=generator).tolist():
            chosen += (of_class == group).nonzero().squeeze(1).tolist()
        chosen = chosen[:_EMOJI_CLASSES]
        new_index = torch.full((len(classes),), -1)
        new_index[torch.tensor(chosen)] = torch.arange(len(chosen))
        labels = new_index[sheet.class_indices]
        family = torch.tensor([_FAMILIES[vendor] for vendor in sheet.vendors])
        held = _TUNING_FAMILIES if tuning else _TEST_FAMILIES
        test_family = held[int(torch.randint(len(held), (1,), generator=generator))]
        shuffled = torch.randperm(len(labels), generator=generator)
        shuffled = shuffled[labels[shuffled] >= 0]
        train = shuffled[family[shuffled] != test_family][: self.setting.train_images]
        measured = shuffled[family[shuffled] == test_family]
        pixels = _emoji_pixels()
        groups = torch.unique(of_class[torch.tensor(chosen)], return_inverse=True)[1]
        return pixels[train], labels[train], pixels[measured], labels[measured], groups, groups

    def _synthetic(self, generator: torch.Generator, tuning: bool) -> tuple[Tensor, ...]:
        number = self.setting.train_images
        images, chances = _synthetic(number + (TUNING_IMAGES if tuning else TEST_IMAGES), generator)
        labels = chances.multinomial(1, generator=generator).squeeze(1)
        groups = torch.arange(chances.shape[1]) // 5
        return images[:number], labels[:number], images[number:], labels[number:], groups, groups


def available(setting: Setting, cache: Path) -> bool:
    """Return whether the data of a setting are there."""
    return setting.data != "glyphs" or load_glyphs(cache) is not None


def bayes_accuracy(number: int, k: int, rows: int = TEST_IMAGES) -> float:
    """Return the top-k accuracy of a synthetic split that no classifier exceeds in expectation."""
    generator = torch.Generator().manual_seed(number)
    _, chances = _synthetic(rows, generator)
    return float(chances.sort(1, descending=True)[0][:, :k].sum(1).mean())


def _synthetic(rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return features, and the chances of 100 classes: the softmax of a product with a matrix of rank 20."""
    weights = torch.randn(32, 20, generator=generator) @ torch.randn(20, 100, generator=generator) / 20**0.5
    images = torch.randn(rows, 32, generator=generator) * 3 / 32**0.5
    return images, (images @ weights).softmax(1)


@lru_cache(maxsize=2)
def _known_glyphs(cache: Path, whole: bool) -> tuple[Glyphs, Tensor, Tensor]:
    """Return the glyphs, their pixels (16 × 16 unless `whole`) and groups of similar classes."""
    glyphs = load_glyphs(cache)
    if glyphs is None:
        raise FileNotFoundError(f"The fonts must be in {FONTS}: apt-get install fonts-aenigma.")
    pixels = glyphs.images.unsqueeze(1).float() / 255
    small = avg_pool2d(pixels, 2)
    fonts, for_tuning = _shuffled_fonts(glyphs)
    seen = torch.isin(glyphs.fonts, fonts[:for_tuning])
    similar = similar_groups(small[seen].flatten(1), glyphs.labels[seen])
    return glyphs, pixels if whole else small, similar


def _shuffled_fonts(glyphs: Glyphs) -> tuple[Tensor, int]:
    """Return the fonts in random order, always the same, and how many from the first on are for tuning alone."""
    fonts: Tensor = torch.unique(glyphs.fonts)
    order = torch.randperm(len(fonts), generator=torch.Generator().manual_seed(0))
    return fonts[order], round(0.4 * len(fonts))


@lru_cache(maxsize=1)
def _emoji_pixels() -> Tensor:
    return avg_pool2d(load_sheet(EMBEDDED_SHEET).tiles.float() / 255, 4)


def _components(images: Tensor, measured: Tensor) -> tuple[Tensor, Tensor]:
    """Return both in the principal components of the training images, with standard deviation 1 in all."""
    mean = images.mean(0)
    images, measured = images - mean, measured - mean
    axes = torch.linalg.eigh(images.T @ images)[1].flip(1)[:, :COMPONENTS]
    images, measured = images @ axes, measured @ axes
    return images / images.std(), measured / images.std()


def _of_each(labels: Tensor, order: Tensor, counts: Tensor) -> Tensor:
    """Return the first so many of each class in an order of images, the most frequent class last."""
    return torch.cat([order[labels[order] == label][: counts[label]] for label in counts.argsort().tolist()])
