"""Compare curricula with plain training of equal epochs on the embedded emoji, over several seeds.

Run with ``python docs/measure_curricula.py --epochs 30 --seeds 0 1 2``. Each finished run is one line of
``docs/assets/curricula.jsonl``; a run that is there already is not repeated, so an interrupted measurement goes on. The
table, mean ± standard deviation over the seeds, and the difference from the baseline paired by seed, is printed and written
to ``docs/assets/curricula.txt``.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from rich.console import Console
from torch import nn

from topk_lightning import callbacks, losses
from topk_lightning.classifier import TopKClassifier
from topk_lightning.data import EmojiDataModule

ASSETS = Path(__file__).parent / "assets"
K = (1, 5)


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
    "smooth top-5 SVM": Variant(lambda: losses.SmoothTopKSVMLoss(k=5)),
    "smooth top-1 SVM": Variant(lambda: losses.SmoothTopKSVMLoss(k=1), baseline="smooth top-5 SVM"),
    "smooth top-k SVM, k 5 → 3 → 1": Variant(
        lambda: losses.SmoothTopKSVMLoss(k=5),
        lambda: [callbacks.KAnnealing(ladder=(5, 3, 1), at=(0, 0.5, 0.8))],
        "smooth top-5 SVM",
    ),
    "temperature, k, coarse to fine": Variant(
        lambda: losses.SmoothTopKSVMLoss(k=5),
        lambda: [
            callbacks.TemperatureAnnealing(),
            callbacks.KAnnealing(ladder=(5, 3, 1), at=(0, 0.5, 0.8)),
            coarse_to_fine(),
        ],
        "smooth top-5 SVM",
    ),
}


def run(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
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
    return {
        "variant": name,
        "seed": seed,
        "setting": setting(options),
        "seconds": round(seconds, 1),
        **{f"top{k}": scores[f"test/top{k}"] for k in K},
    }


def setting(options: argparse.Namespace) -> str:
    """Return what runs must share to be compared."""
    classes = "all classes" if options.classes is None else f"{options.classes} classes"
    return f"{options.epochs} epochs, {classes}, {options.image_size}×{options.image_size}, width {options.width}"


def table(runs: list[dict[str, Any]], seeds: list[int]) -> list[str]:
    """Return the lines of a Markdown table."""

    def values(name: str, k: int) -> dict[int, float]:
        return {one["seed"]: one[f"top{k}"] for one in runs if one["variant"] == name and one["seed"] in seeds}

    def spread(numbers: list[float], sign: str = "") -> str:
        deviation = f" ± {100 * statistics.stdev(numbers):.1f}" if len(numbers) > 1 else ""
        return f"{100 * statistics.mean(numbers):{sign}.1f}{deviation}" if numbers else "–"

    heads = ["training", *(f"top-{k}, %" for k in K), *(f"top-{k} − baseline" for k in K)]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (2 * len(K))]
    for name, variant in VARIANTS.items():
        if not values(name, K[0]):
            continue
        cells = [spread(list(values(name, k).values())) for k in K]
        for k in K:
            base = values(variant.baseline or "", k)
            cells.append(spread([value - base[seed] for seed, value in values(name, k).items() if seed in base], "+"))
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return lines


def main() -> None:
    """Measure what is asked for and not there yet, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--classes", type=int, help="so many classes, spread over the categories; without it all")
    parser.add_argument("--accelerator", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ASSETS / "curricula.jsonl")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    for name in ("pytorch_lightning", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)

    console = Console()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    runs = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    runs = [one for one in runs if one["setting"] == setting(options)]
    done = {(one["variant"], one["seed"]) for one in runs}
    for seed in options.seeds:
        for name in options.variants:
            if (name, seed) not in done:
                runs.append(run(name, seed, options))
                with options.out.open("a") as file:
                    file.write(json.dumps(runs[-1], ensure_ascii=False) + "\n")
                console.print(runs[-1])
    seeds = ", ".join(map(str, options.seeds))
    caption = f"Test set, {setting(options)}, seeds {seeds}: mean ± standard deviation."
    text = "\n".join([*table(runs, options.seeds), "", caption, ""])
    options.out.with_suffix(".txt").write_text(text)
    console.print(text, markup=False)


if __name__ == "__main__":
    main()
