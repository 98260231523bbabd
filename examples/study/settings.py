"""What is compared where: the settings of the study, and the candidates that every method is tuned over."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

__all__ = [
    "FULL",
    "NETWORKS",
    "NETWORKS_FULL",
    "NETWORKS_SMOKE",
    "SMOKE",
    "STANDARD",
    "Candidate",
    "Setting",
    "candidates",
    "network_candidates",
]

# Decoupled weight decay in the published scripts of the smooth top-k SVM, which is next to none.
DECAY_OFF = 1e-4


@dataclass(frozen=True)
class Setting:
    """A task for all methods.

    Attributes:
        name: what it is called in tables.
        data: "glyphs", "emoji" or "synthetic".
        noise: among which classes a wrong label is drawn, the own one included: "groups" (of similar classes), "uniform".
        share: of the training and validation labels that are drawn anew.
        train_images: training images, the same number in every split; of a tail the most frequent class gives way.
        tail: whether the images a class fall from 50 to 1; accuracies are then means over the classes.
        rank: features before the last layer, without an activation; None: 64, with ReLU.
        decay: weight decay for all; None: tuned.
        epochs: epochs for all.
        batch_size: images a step.
        curricula: whether curricula are compared too, with the accuracy after every epoch.
        questions: whether the questions after training are asked too (grid C).
        network: "perceptron" (grid A), "small_cnn" or "resnet18" (grid B).
    """

    name: str
    data: str = "glyphs"
    noise: str | None = None
    share: float = 0.0
    train_images: int = 2700
    tail: bool = False
    rank: int | None = None
    decay: float | None = None
    epochs: int = 16
    batch_size: int = 128
    curricula: bool = False
    questions: bool = False
    network: str = "perceptron"


@dataclass(frozen=True)
class Candidate:
    """What a method is tuned over: rate and decay, and a place in the list of its own option."""

    number: int
    learning_rate: float
    decay: float
    option: int


def candidates(setting: Setting) -> list[Candidate]:
    """Return the 16 candidates of every method in a setting.

    An orthogonal array: four levels of the rate with four of the decay, each pair once, and each value of the own option
    once with each level of either. Within its level each rate and each decay is another one.
    """
    within = (2, 0, 3, 1)
    found = []
    for number in range(16):
        rate_level, decay_level = divmod(number, 4)
        rate = _between(2e-3, 0.2, (4 * rate_level + within[decay_level] + 0.5) / 16)
        decay = _between(0.03, 10, (4 * decay_level + within[rate_level] + 0.5) / 16)
        option = (rate_level + decay_level) % 4
        found.append(Candidate(number, rate, setting.decay or decay, option))
    return found


def network_candidates() -> list[Candidate]:
    """Return the 6 candidates of every method in grid B: three rates, two decays."""
    pairs = [(rate, decay) for decay in (0.02, 0.5) for rate in (3e-3, 1e-2, 3e-2)]
    return [Candidate(number, *pair, number % 4) for number, pair in enumerate(pairs)]


def _between(low: float, high: float, share: float) -> float:
    """Return the number at a share of the way from low to high, in logarithms, with three digits."""
    return float(f"{low * math.exp(share * math.log(high / low)):.3g}")


def _noisy(name: str, **options: object) -> list[Setting]:
    tuned = Setting(name, **options)  # type: ignore[arg-type]
    return [tuned, replace(tuned, name=f"{name}, decay off", decay=DECAY_OFF)]


_CLEAN = Setting("glyphs, clean", curricula=True, questions=True)
_EMOJI = {"data": "emoji", "train_images": 1200, "epochs": 28}

STANDARD: list[Setting] = [
    _CLEAN,
    *_noisy("glyphs, noise .2 in groups", noise="groups", share=0.2),
    *_noisy("glyphs, noise .4 in groups", noise="groups", share=0.4),
    *_noisy("glyphs, noise .6 in groups", noise="groups", share=0.6, questions=True),
    *_noisy("glyphs, noise .8 in groups", noise="groups", share=0.8),
    Setting("glyphs, tail 50:1", tail=True, train_images=1940, epochs=24, questions=True),
    Setting("glyphs, few images", train_images=800, epochs=28, batch_size=64),
    *_noisy("glyphs, uniform noise .4", noise="uniform", share=0.4),
    *_noisy("glyphs, uniform noise .6", noise="uniform", share=0.6),
    Setting("glyphs, rank 4", train_images=3600, rank=4, epochs=14),
    Setting("emoji, clean", curricula=True, **_EMOJI),  # type: ignore[arg-type]
    *_noisy("emoji, noise .6 in groups", noise="groups", share=0.6, **_EMOJI),
]

#: What `--full` adds.
FULL: list[Setting] = [
    Setting("synthetic, rank 4", data="synthetic", train_images=4000, rank=4, epochs=14),
    Setting("synthetic", data="synthetic", train_images=4000, epochs=14),
]

SMOKE: list[Setting] = [
    Setting("synthetic, smoke", data="synthetic", train_images=600, epochs=4, curricula=True, questions=True),
    *_noisy("emoji, noise .6, smoke", noise="groups", share=0.6, data="emoji", train_images=1200, epochs=4),
]

_CNN = Setting("glyphs, small CNN, clean", network="small_cnn", epochs=8, batch_size=128)

#: Grid B, with few epochs and pictures of 16 × 16, so that it fits beside grid A.
NETWORKS: list[Setting] = [
    _CNN,
    replace(_CNN, name="glyphs, small CNN, noise .6 in groups", noise="groups", share=0.6),
]

NETWORKS_FULL: list[Setting] = [
    replace(setting, name=setting.name.replace("small CNN", "resnet18"), network="resnet18") for setting in NETWORKS
]

NETWORKS_SMOKE: list[Setting] = [
    Setting("emoji, small CNN, smoke", data="emoji", network="small_cnn", train_images=300, epochs=1, batch_size=64)
]
