"""Grid B: do the findings carry over to convolutional networks? Each trained by a Trainer, with the library's callbacks."""

from __future__ import annotations

import logging
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from grid_a import Budget, choose
from methods import Method, method_named
from pytorch_lightning import Callback, Trainer
from records import Records, origin
from settings import Candidate, Setting, network_candidates
from splits import Split, Splits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from topk_lightning import TopKClassifier, topk_accuracy
from topk_lightning.callbacks import CoarseToFine

__all__ = ["NETWORK_METHODS", "run_network"]

NETWORK_METHODS = ("cross entropy", "temperature CE", "smooth SVM, in logits", "coarse to fine")


def run_network(setting: Setting, name: str, budget: Budget, records: Records, cache: Path) -> None:
    """Tune a method on a network and test what was chosen; a kill loses one training."""
    method = method_named(setting, name)
    known = network_candidates()[: budget.candidates]
    for candidate in known:
        for number in range(budget.tuning_splits):
            _run(setting, method, candidate, number, True, records, cache)
    chosen = choose(records.read(), setting.name, name, "b")
    for candidate in known:
        for number in range(budget.test_splits if candidate.number == chosen else 0):
            _run(setting, method, candidate, number, False, records, cache)


def _run(
    setting: Setting, method: Method, candidate: Candidate, number: int, tuning: bool, records: Records, cache: Path
) -> None:
    key = {
        "grid": "b",
        "setting": setting.name,
        "method": method.name,
        "candidate": candidate.number,
        "stage": "tuning" if tuning else "test",
        "split": number,
    }
    if any(key.items() <= record.items() for record in records.read()):
        return
    split = Splits(setting, cache, pixels=True).draw(number, tuning=tuning)
    started = time.process_time()
    accuracies = _accuracies(setting, method, candidate, split)
    option = method.values[candidate.option % len(method.values)]
    record = {
        **key,
        "learning_rate": candidate.learning_rate,
        "decay": candidate.decay,
        "option": f"{method.option} {option}" if method.option else "",
        **{f"top{k}": round(value, 6) for k, value in zip((1, 5, 10), accuracies, strict=True)},
        "curve": None,
        "epochs": setting.epochs,
        "seconds": round(time.process_time() - started, 3),
        **origin(),
    }
    records.add([record])


def _accuracies(setting: Setting, method: Method, candidate: Candidate, split: Split) -> list[float]:
    """Train a network and return its top-1, top-5 and top-10 accuracy."""
    torch.manual_seed(split.seed)
    images, measured = split.images, split.measured
    if setting.network == "resnet18":
        images, measured = images.repeat(1, 3, 1, 1), measured.repeat(1, 3, 1, 1)
    network: dict[str, Any] = {"class_path": "small_cnn", "init_args": {"in_channels": images.shape[1], "width": 16}}
    loss: nn.Module = nn.CrossEntropyLoss()
    callbacks: list[Callback] = []
    if method.name == "coarse to fine":
        hold = method.values[candidate.option % len(method.values)]
        callbacks.append(CoarseToFine(split.groups.tolist(), hold_fraction=hold))
    else:
        loss = method.loss(candidate.option, split)
    steps = setting.epochs * -(-len(images) // setting.batch_size)
    model = TopKClassifier(
        "resnet18" if setting.network == "resnet18" else network,
        num_classes=len(split.groups),
        loss=loss,
        lr=candidate.learning_rate,
        weight_decay=candidate.decay,
        warmup_steps=round(0.3 * steps),  # one cycle: a linear rise, then a cosine to 0
    )
    loader = DataLoader(
        TensorDataset(images, split.labels),
        batch_size=setting.batch_size,
        shuffle=True,
        generator=torch.Generator().manual_seed(split.seed),
    )
    for name in ("pytorch_lightning", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _trainer(setting, callbacks).fit(model, loader)
    model = model.cpu().eval()
    with torch.no_grad():
        logits = torch.cat([model(part) for part in torch.split(measured, 500)])
    values: list[float] = topk_accuracy(logits, split.truth, k=(1, 5, 10)).tolist()
    return values


def _trainer(setting: Setting, callbacks: list[Callback]) -> Trainer:
    return Trainer(
        # One small network is trained on each core; a large one where there is an accelerator.
        accelerator="auto" if setting.network == "resnet18" else "cpu",
        devices=1,
        max_epochs=setting.epochs,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
