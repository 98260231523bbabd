"""A whole training step against a bare loop of torch: SmallCNN and resnet18, with metric, loss and callbacks added one by one.

Run with ``python tests/benchmarks/bench_step.py [--quick] [--write]``; see page.py. The same batch of random images is trained on
again and again, so nothing of it is loading; the trainers keep no checkpoints and print nothing. All ways take turns, each for a
few steps, and each ratio is that of one turn. The second table says what metric, loss and callbacks take inside such steps, which
other programs of the machine move less.
"""

from __future__ import annotations

import logging
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).parent))

from page import Ratio, Table, publish, quick
from timing import best_times

from topk_lightning import SmallCNN, SmoothTopKSVMLoss, TopKAccuracies, TopKClassifier
from topk_lightning.callbacks import KAnnealing, TemperatureAnnealing

CLASSES = 100
NETWORKS = {"SmallCNN, 32 of 3 × 32 × 32": ("small_cnn", 32), "resnet18, 32 of 3 × 64 × 64": ("resnet18", 64)}
ROWS = 32


def network(name: str) -> nn.Module:
    """Return a network of 100 classes, always of the same weights."""
    torch.manual_seed(0)
    if name == "small_cnn":
        return SmallCNN(CLASSES)
    from torchvision.models import resnet18

    return resnet18(num_classes=CLASSES)


Batches = list[tuple[Tensor, Tensor]]


def batches(size: int, count: int) -> Batches:
    """Return the same batch so many times."""
    generator = torch.Generator().manual_seed(0)
    return [(torch.rand(ROWS, 3, size, size, generator=generator), torch.arange(ROWS) % CLASSES)] * count


class Plain(LightningModule):
    """A module with a loss and, if asked for, a metric."""

    def __init__(self, name: str, loss: nn.Module, metric: bool) -> None:
        super().__init__()
        self.network, self.loss = network(name), loss
        self.metric = TopKAccuracies((1, 3, 5), prefix="train/") if metric else None

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        logits = self.network(batch[0])
        if self.metric is not None:
            self.metric.update(logits, batch[1])
            self.log_dict(self.metric, on_step=False, on_epoch=True)
        return self.loss(logits, batch[1])  # type: ignore[no-any-return]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters())


class Turns(Callback):
    """Takes the processor's time of each step, and hands over to the others after each."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.started: float | None = None

    def on_train_batch_start(self, *_: Any) -> None:
        now = time.thread_time()
        if self.started is not None:
            self.times.append(now - self.started)
        self.started = now


def bare(name: str, data: Batches) -> list[float]:
    """Return the times of the steps of a loop by hand."""
    model, loss, times = network(name), nn.CrossEntropyLoss(), []
    optimizer = torch.optim.AdamW(model.parameters())
    started = time.thread_time()
    for images, target in data:
        optimizer.zero_grad()
        loss(model(images), target).backward()
        optimizer.step()
        times.append(time.thread_time() - started)
        started = time.thread_time()
    return times


def fitted(module: LightningModule, data: Batches, *callbacks: Callback) -> list[float]:
    """Return the times from the start of a step to that of the next."""
    turns = Turns()
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, callbacks=[turns, *callbacks], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, DataLoader(data, batch_size=None))
    return turns.times


def ways(name: str) -> dict[str, Callable[[Batches], list[float]]]:
    """Return what is measured, each with one thing more than the one before."""
    return {
        "a bare loop": lambda data: bare(name, data),
        "Lightning": lambda data: fitted(Plain(name, nn.CrossEntropyLoss(), False), data),
        "+ `TopKAccuracies`": lambda data: fitted(Plain(name, nn.CrossEntropyLoss(), True), data),
        "+ `SmoothTopKSVMLoss`": lambda data: fitted(Plain(name, SmoothTopKSVMLoss(5), True), data),
        "+ `KAnnealing`, `TemperatureAnnealing`": lambda data: fitted(
            Plain(name, SmoothTopKSVMLoss(5), True), data, KAnnealing(at=(0, 0.5, 0.8)), TemperatureAnnealing()
        ),
        "`TopKClassifier`": lambda data: fitted(TopKClassifier(network(name), num_classes=CLASSES, k=[1, 3, 5]), data),
    }


def inside(name: str, data: Batches) -> list[str]:
    """Return, in µs and as share of a step: metric, loss beyond cross entropy, callbacks, and all of them."""
    module, callbacks = Plain(name, SmoothTopKSVMLoss(5), True), (KAnnealing(at=(0, 0.5, 0.8)), TemperatureAnnealing())
    hooks = [timed(callback, f"on_train_batch_{end}") for callback in callbacks for end in ("start", "end")]
    metric = timed(module.metric, "update")
    step = statistics.median(fitted(module, data, *callbacks)[2:])
    logits, target = torch.randn(ROWS, CLASSES, requires_grad=True), data[0][1]
    # At the k that the annealing begins with.
    losses = {"smooth": SmoothTopKSVMLoss(5), "plain": nn.CrossEntropyLoss()}
    both = best_times(
        {name: lambda loss=loss: loss(logits, target).backward() for name, loss in losses.items()}, seconds=0.02
    )
    parts = [statistics.median(metric), both["smooth"] - both["plain"], sum(map(statistics.median, hooks))]
    return [*(f"{1e6 * part:.0f} µs" for part in parts), f"{1e3 * step:.1f} ms", f"{sum(parts) / step:.2%}"]


def timed(what: Any, name: str) -> list[float]:
    """Return the list to which a method will add the time of each call."""
    times: list[float] = []
    inner = getattr(what, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        started = time.thread_time()
        result = inner(*args, **kwargs)
        times.append(time.thread_time() - started)
        return result

    setattr(what, name, call)
    return times


def main() -> None:
    """Measure and publish."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for logger in (
        "pytorch_lightning",
        "lightning.pytorch.utilities.rank_zero",
        "pytorch_lightning.utilities.rank_zero",
    ):
        logging.getLogger(logger).setLevel(logging.ERROR)
    rounds, steps = (2, 6) if quick() else (3, 10)
    rows, parts = [], []
    for label, (name, size) in list(NETWORKS.items())[: 1 if quick() else None]:
        data = batches(size, steps)
        found: dict[str, list[float]] = {}
        for _ in range(rounds):
            # The first steps make buffers.
            for way, call in ways(name).items():
                found.setdefault(way, []).append(statistics.median(call(data)[2:]))
        parts.append([label, *inside(name, data)])
        names = list(found)
        bare_times, plain_times = found[names[0]], found[names[1]]
        for way in names:
            own = Ratio.of(
                [
                    100 * (time - plain) / base
                    for time, plain, base in zip(found[way], plain_times, bare_times, strict=True)
                ]
            )
            rows.append([
                f"{label}: {way}",
                f"{1e3 * statistics.median(found[way]):.1f} ms",
                str(Ratio.of([time / base for time, base in zip(found[way], bare_times, strict=True)])),
                "–" if way in names[:2] else f"{own.median:.1f} % ({own.low:.1f} to {own.high:.1f})",
            ])  # fmt: skip
    note = f"{rounds} rounds of {steps} steps, the first two left out. The last column is what is added to Lightning's step, in units of the bare one."
    columns = ["inside a step", "`TopKAccuracies.update`", "loss − cross entropy", "callbacks", "step", "together"]
    shares = Table("What metric, loss and callbacks take of a step; the goal is 2 % of the resnet's.", columns, parts)
    first = ["step", "time", "÷ bare loop", "beyond Lightning"]
    publish("step", [Table("One training step of 32 images, one thread.", first, rows, note), shares])


if __name__ == "__main__":
    main()
