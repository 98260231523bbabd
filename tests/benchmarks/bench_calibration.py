"""How often gradient descent on each loss puts the k most probable classes on top, where the truth is known.

Run with ``python tests/benchmarks/bench_calibration.py``. Each row is one distribution over six classes, known in full
and given as a soft target; its six logits start at random and are free, so neither data nor network are to blame.
A loss that is calibrated in theory can still be stuck in a local minimum here.
"""

from __future__ import annotations

import torch
from rich.console import Console
from rich.table import Table

from topk_lightning import losses

K = 3
LOSSES = {
    "cross entropy": losses.TemperatureCrossEntropyLoss(),
    "smooth top-k SVM, t = 1": losses.SmoothTopKSVMLoss(k=K, units="published"),
    "smooth top-k SVM, t = 0.05": losses.SmoothTopKSVMLoss(k=K, temperature=0.05, units="published"),
    "truncated entropy": losses.TruncatedTopKEntropyLoss(k=K),
    "grouped cross entropy": losses.GroupedTopKCrossEntropyLoss(k=K),
    "soft top-k, logistic": losses.SoftTopKLoss(k=K),
    "soft top-k, Laplace": losses.SoftTopKLoss(k=K, membership="laplace"),
    "top-k cross entropy, P(3) = 1": losses.TopKCrossEntropyLoss((0.0, 0.0, 1.0), num_candidates=None),
    "top-k cross entropy, P = .4 .3 .3": losses.TopKCrossEntropyLoss((0.4, 0.3, 0.3), num_candidates=None),
    "calibrated hinge": losses.CalibratedTopKHingeLoss(k=K),
    "noised hinge": losses.NoisedTopKHingeLoss(k=K),
}


def share_found(loss: losses.SmoothTopKSVMLoss, truth: torch.Tensor, steps: int = 1500) -> float:
    """Return the share of the rows whose k largest logits after descent are the k most probable classes."""
    torch.manual_seed(1)
    logits = (torch.randn(truth.shape) / 2).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.03)
    for step in range(steps):
        if step == 2 * steps // 3:
            optimizer.param_groups[0]["lr"] = 0.005
        optimizer.zero_grad()
        (loss(logits, truth) * len(truth)).backward()
        optimizer.step()
    best = [scores.sort(1, descending=True).indices[:, :K].sort(1).values for scores in (logits, truth)]
    return float((best[0] == best[1]).all(1).float().mean())


def main() -> None:
    """Print the table."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    truth = torch.distributions.Dirichlet(torch.full((6,), 1.5)).sample((300,))
    ordered = truth.sort(1, descending=True).values
    truth = truth[ordered[:, K - 1] - ordered[:, K] > 0.03]
    table = Table("loss", "top 3 found", title=f"{len(truth)} distributions over 6 classes; by chance 1/20")
    for name, loss in LOSSES.items():
        table.add_row(name, f"{share_found(loss, truth):.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
