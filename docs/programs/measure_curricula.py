"""Compare curricula with plain training of equal epochs on the embedded emoji, over several seeds.

Run with ``python docs/programs/measure_curricula.py --epochs 30 --seeds 0 1 2``. Each finished run is one line of
``docs/assets/curricula.jsonl``; a run that is there already is not repeated, so an interrupted measurement goes on. The
table, mean ± standard deviation over the seeds, and the difference from the baseline paired by seed, is printed and written
to ``docs/assets/curricula.txt``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from measuring import K, Run, measure, parser, table, write
from pytorch_lightning import Callback, Trainer, seed_everything
from torch import nn

from topk_lightning import callbacks, losses
from topk_lightning.classifier import TopKClassifier
from topk_lightning.data import EmojiDataModule


class Variant(NamedTuple):
    """A loss, the callbacks beside it, and the variant it is compared with."""

    loss: Callable[[], nn.Module]
    callbacks: Callable[[], list[Callback]] = list
    baseline: str | None = None


def coarse_to_fine(**options: Any) -> Callback:
    """Learn the subcategories of the emoji first."""
    found: Callback = callbacks.CoarseToFine(level="subcategory", **options)
    return found


VARIANTS = {
    "cross entropy": Variant(nn.CrossEntropyLoss),
    "temperature 4 → 1": Variant(
        losses.TemperatureCrossEntropyLoss, lambda: [callbacks.TemperatureAnnealing()], "cross entropy"
    ),
    "temperature 4 → 1, scaled by T": Variant(
        lambda: losses.TemperatureCrossEntropyLoss(scale_loss="T"),
        lambda: [callbacks.TemperatureAnnealing()],
        "cross entropy",
    ),
    "temperature 0.5 → 1": Variant(
        losses.TemperatureCrossEntropyLoss, lambda: [callbacks.TemperatureAnnealing(start=0.5)], "cross entropy"
    ),
    "coarse to fine": Variant(nn.CrossEntropyLoss, lambda: [coarse_to_fine()], "cross entropy"),
    "coarse to fine, blended": Variant(
        nn.CrossEntropyLoss, lambda: [coarse_to_fine(schedule="linear")], "cross entropy"
    ),
    "smooth top-5 SVM": Variant(lambda: losses.SmoothTopKSVMLoss(k=5, units="published")),
    "smooth top-1 SVM": Variant(lambda: losses.SmoothTopKSVMLoss(k=1, units="published"), baseline="smooth top-5 SVM"),
    "smooth top-k SVM, k 5 → 3 → 1": Variant(
        lambda: losses.SmoothTopKSVMLoss(k=5, units="published"),
        lambda: [callbacks.KAnnealing(ladder=(5, 3, 1), at=(0, 0.5, 0.8))],
        "smooth top-5 SVM",
    ),
    "temperature, k, coarse to fine": Variant(
        lambda: losses.SmoothTopKSVMLoss(k=5, units="published"),
        lambda: [
            callbacks.TemperatureAnnealing(),
            callbacks.KAnnealing(ladder=(5, 3, 1), at=(0, 0.5, 0.8)),
            coarse_to_fine(),
        ],
        "smooth top-5 SVM",
    ),
}


def run(name: str, seed: int, options: argparse.Namespace) -> Run:
    """Train and test one variant with one seed; the same images in the same order for all variants."""
    variant = VARIANTS[name]
    seed_everything(seed, verbose=False)
    data = EmojiDataModule(image_size=options.image_size, classes=options.classes, seed=seed)
    model = TopKClassifier(
        {"class_path": "small_cnn", "init_args": {"width": options.width}},
        class_names=data.class_names,
        loss=variant.loss(),
        k=K,
    )
    trainer = Trainer(
        accelerator=options.accelerator,
        max_epochs=options.epochs,
        callbacks=variant.callbacks(),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    started = time.perf_counter()
    trainer.fit(model, data)
    seconds = time.perf_counter() - started
    (scores,) = trainer.test(model, data, verbose=False)
    return {"seconds": round(seconds, 1), **{f"top{k}": scores[f"test/top{k}"] for k in K}}


def setting(options: argparse.Namespace) -> str:
    """Return what runs must share to be compared."""
    classes = "all classes" if options.classes is None else f"{options.classes} classes"
    return f"{options.epochs} epochs, {classes}, {options.image_size}×{options.image_size}, width {options.width}"


def main() -> None:
    """Measure what is asked for and not there yet, then write the table."""
    options = parser(__doc__, "curricula.jsonl")
    options.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    options.add_argument("--epochs", type=int, default=30)
    options.add_argument("--image-size", type=int, default=32)
    options.add_argument("--width", type=int, default=32)
    options.add_argument("--classes", type=int, help="so many classes, spread over the categories; without it all")
    found = options.parse_args()
    keys = [{"variant": name, "seed": seed} for seed in found.seeds for name in found.variants]
    runs = measure(found, setting(found), keys, lambda key: run(key["variant"], key["seed"], found))
    runs = [one for one in runs if one["seed"] in found.seeds]
    seeds = ", ".join(map(str, found.seeds))
    caption = f"Test set, {setting(found)}, seeds {seeds}: mean ± standard deviation."
    write(
        found, [*table(runs, {name: variant.baseline for name, variant in VARIANTS.items()}, "training"), "", caption]
    )


if __name__ == "__main__":
    main()
