"""Compare losses with cross entropy on the embedded emoji, with clean labels and with ambiguous ones, over several seeds.

Run with ``python docs/programs/measure_losses.py``. As in the experiments of Berrada, Zisserman and Kumar (ICLR 2018) on CIFAR-100,
ambiguity is made by label noise within the groups: a share of the training labels is replaced by another class of the same
subcategory, of 4 to 8 classes. Labels of the tests are clean. Each finished run is one line of ``docs/assets/losses.jsonl``;
a run that is there already is not repeated. The tables are printed and written to ``docs/assets/losses.txt``.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from measuring import K, Run, measure, parser, table, write
from pytorch_lightning import Trainer, seed_everything
from torch import nn

from topk_lightning import losses
from topk_lightning.classifier import TopKClassifier
from topk_lightning.data import EmojiDataModule

BASELINE = "cross entropy"
VARIANTS: dict[str, Callable[[], nn.Module]] = {
    BASELINE: nn.CrossEntropyLoss,
    "cross entropy, label smoothing 0.1": lambda: nn.CrossEntropyLoss(label_smoothing=0.1),
    "smooth top-5 SVM": lambda: losses.SmoothTopKSVMLoss(k=5, units="published"),
    "smooth top-5 SVM, t = 0.2": lambda: losses.SmoothTopKSVMLoss(k=5, temperature=0.2, units="published"),
    "smooth top-1 SVM": lambda: losses.SmoothTopKSVMLoss(k=1, units="published"),
    "truncated top-5 entropy": lambda: losses.TruncatedTopKEntropyLoss(k=5),
    "soft top-5": lambda: losses.SoftTopKLoss(k=5),
    "top-k cross entropy, P(1 … 5) = 1/5": losses.TopKCrossEntropyLoss,
    "the same, all classes as candidates": lambda: losses.TopKCrossEntropyLoss(num_candidates=None),
    "noised top-5 hinge": lambda: losses.NoisedTopKHingeLoss(k=5),
}


class AmbiguousEmoji(EmojiDataModule):
    """The subcategories of 4 to 8 emoji; a share of the training labels is another emoji of the same subcategory."""

    def __init__(self, noise: float, **options: Any) -> None:
        everything = EmojiDataModule()
        names = everything.coarse_names["subcategory"]
        sizes = Counter(everything.fine_to_coarse["subcategory"])
        super().__init__(classes=[name for group, name in enumerate(names) if 4 <= sizes[group] <= 8], **options)
        self.noise = noise

    def _find_samples(self) -> dict[str, Any]:
        found = super()._find_samples()
        groups = torch.tensor(self.fine_to_coarse["subcategory"])
        generator = torch.Generator().manual_seed(self.seed)
        targets = torch.tensor(found["train"].targets)
        others = (groups[targets][:, None] == groups).float().scatter(1, targets[:, None], 0.0)
        wrong = torch.multinomial(others, 1, generator=generator)[:, 0]
        flipped = torch.rand(len(targets), generator=generator) < self.noise
        noisy = dataclasses.replace(found["train"], targets=tuple(torch.where(flipped, wrong, targets).tolist()))
        return {**found, "train": noisy}


def run(key: Run, options: argparse.Namespace) -> Run:
    """Train one variant, and test it on the drawings of both vendors that training does not see."""
    seed_everything(key["seed"], verbose=False)
    data = AmbiguousEmoji(key["noise"], image_size=options.image_size, batch_size=32, seed=key["seed"])
    network = {"class_path": "small_cnn", "init_args": {"width": options.width}}
    model = TopKClassifier(network, class_names=data.class_names, loss=VARIANTS[key["variant"]](), k=K, lr=options.lr)
    trainer = Trainer(
        accelerator=options.accelerator,
        max_epochs=options.epochs,
        check_val_every_n_epoch=options.epochs + 1,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    started = time.perf_counter()
    trainer.fit(model, data)
    seconds = round(time.perf_counter() - started, 1)
    # Nothing is chosen by the validation images, so they test as well as the test images do.
    (first,) = trainer.validate(model, data, verbose=False)
    (second,) = trainer.test(model, data, verbose=False)
    sizes = [len(data.targets(split)) for split in ("val", "test")]
    hits = {k: first[f"val/top{k}"] * sizes[0] + second[f"test/top{k}"] * sizes[1] for k in K}
    return {"seconds": seconds, **{f"top{k}": hits[k] / sum(sizes) for k in K}}


def main() -> None:
    """Measure what is asked for and not there yet, then write a table for each share of wrong labels."""
    options = parser(__doc__, "losses.jsonl")
    options.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    options.add_argument("--noise", nargs="+", type=float, default=[0.4, 0.0])
    options.add_argument("--epochs", type=int, default=25)
    options.add_argument("--image-size", type=int, default=24)
    options.add_argument("--width", type=int, default=16)
    options.add_argument("--lr", type=float, default=3e-3)
    found = options.parse_args()
    size = f"{found.image_size}×{found.image_size}"
    setting = f"{found.epochs} epochs, {size}, width {found.width}, AdamW, learning rate {found.lr:g}"
    keys = [
        {"variant": name, "noise": noise, "seed": seed}
        for seed in found.seeds
        for noise in found.noise
        for name in found.variants
    ]
    runs = [one for one in measure(found, setting, keys, lambda key: run(key, found)) if one["seed"] in found.seeds]
    lines: list[str] = []
    for noise in found.noise:
        chosen = [one for one in runs if one["noise"] == noise]
        lines += [f"Share of wrong training labels {noise:g}; {setting}, seeds {', '.join(map(str, found.seeds))}:", ""]
        lines += [*table(chosen, {name: BASELINE if name != BASELINE else None for name in VARIANTS}, "loss"), ""]
    write(found, lines)


if __name__ == "__main__":
    main()
