"""How strongly each loss pulls its target up, and how far: the table of docs/choosing.md.

Run with ``python docs/programs/pull_and_reach.py``; it writes the table into the page.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from topk_lightning import losses

PAGE = Path(__file__).parents[1] / "choosing.md"
BEGIN, END = "<!-- pull and reach -->", "<!-- end of pull and reach -->"
CLASSES = (10, 100, 1000)
LEADS = torch.arange(0, 120, 0.1)

# Beside the losses with their default options.
VARIANTS: dict[str, nn.Module] = {
    "`nn.CrossEntropyLoss()`": nn.CrossEntropyLoss(reduction="sum"),
    '`SmoothTopKSVMLoss(units="published")`': losses.SmoothTopKSVMLoss(units="published"),
    '`SoftTopKLoss(membership="laplace")`': losses.SoftTopKLoss(membership="laplace"),
    '`TemperatureCrossEntropyLoss(5, scale_loss="T")`': losses.TemperatureCrossEntropyLoss(5, scale_loss="T"),
    '`TopKCrossEntropyLoss(temperature=16, num_candidates=None, top1_mode="smce")`': losses.TopKCrossEntropyLoss(
        temperature=16, num_candidates=None, top1_mode="smce"
    ),
}


def losses_by_name(num_classes: int) -> dict[str, nn.Module]:
    """Return every loss with its default options, and the variants."""
    options = {
        "LogitAdjustedCrossEntropyLoss": {"class_counts": [1] * num_classes},
        "NoisedTopKHingeLoss": {"num_samples": 100, "generator": torch.Generator().manual_seed(0)},
    }
    names = [name for name in losses.__all__ if name.endswith("Loss")]
    return {**{f"`{name}()`": getattr(losses, name)(**options.get(name, {})) for name in names}, **VARIANTS}


def pulls(loss: nn.Module, leads: Tensor, num_classes: int) -> Tensor:
    """Return how strongly a target is pulled up that leads C − 1 equal classes, for each lead."""
    logits = torch.zeros(len(leads), num_classes)
    logits[:, -1] = leads
    logits.requires_grad_()
    loss.reduction = "sum"
    target = torch.full((len(leads),), num_classes - 1)
    return -torch.autograd.grad(loss(logits, target), logits)[0][:, -1]


def pull_and_reach(loss: nn.Module, num_classes: int) -> tuple[float, float]:
    """Return the pull at equal logits, and the lead from which on it is below half of that."""
    pull = pulls(loss, LEADS, num_classes)
    return float(pull[0]), float(LEADS[int((pull > pull[0] / 2).nonzero().max()) + 1])


def table() -> str:
    """Return the Markdown table, losses of the longest reach last."""
    results = {c: {name: pull_and_reach(loss, c) for name, loss in losses_by_name(c).items()} for c in CLASSES}
    heads = [f"{what}, C = {c}" for what in ("pull", "reach") for c in CLASSES]
    lines = [f"| loss | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for name in sorted(results[100], key=lambda name: results[100][name][1]):
        cells = [f"{results[c][name][0]:.2f}" for c in CLASSES] + [f"{results[c][name][1]:.1f}" for c in CLASSES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")
