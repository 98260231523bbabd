"""Sets of k names on average: more where the network is unsure, fewer where it is sure, without a promise."""

from __future__ import annotations

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_positive
from topk_lightning.decisions._rows import ScoreRows
from topk_lightning.metrics import CoverageSummary, SetCoverage
from topk_lightning.scores import Scores

__all__ = ["average_k_accuracy"]


def average_k_accuracy(
    scores: Tensor | Scores,
    target: Tensor | None,
    k: float,
    *,
    threshold_from: Tensor | Scores | None = None,
    kind: str = "logits",
) -> CoverageSummary:
    """Return how often the right class is in sets of k names on average: all classes above one probability.

    The threshold lies between the kN-th and the next largest of the N · C probabilities of the images that it is taken
    from. ``coverage`` of the answer is the average-k accuracy, ``macro`` its mean over classes, ``mean_size`` the names that
    the test was really shown: k itself where the threshold is the test's own and nothing ties.

    Args:
        scores: of the test, (N, C), or stored scores with their target and kind.
        target: class indices (N,); None for stored scores.
        k: names on average, 0 < k < C.
        threshold_from: scores of validation images; None: those of the test, which flatters little.
        kind: "logits" or "probabilities".

    Raises:
        ValueError: k out of range, or what prediction sets refuse.

    Source:
        Garcin et al., Pl@ntNet-300K, NeurIPS Datasets and Benchmarks 2021, after Lorieul et al. 2021.

    Examples:
        >>> p = torch.tensor([[0.90, 0.05, 0.05], [0.35, 0.40, 0.25], [0.30, 0.37, 0.33]])
        >>> # 5 names for 3 images.
        >>> summary = average_k_accuracy(p, torch.tensor([0, 0, 2]), 5 / 3, kind="probabilities")
        >>> summary.coverage, round(summary.mean_size, 4)
        (1.0, 1.6667)
    """
    rows = ScoreRows(scores, target, kind=kind)
    cut = _threshold(rows if threshold_from is None else ScoreRows(threshold_from, kind=kind), check_positive("k", k))
    label, weight, metric = rows.labels(), rows.weight, SetCoverage(rows.num_classes)
    for part, block in rows.blocks():
        mask = block.log_probabilities() > cut
        metric.update(mask.cpu(), label[part].cpu(), None if weight is None else weight[part].cpu())
    return metric.summary()


def _threshold(rows: ScoreRows, k: float) -> float:
    """Return the log probability between the kN-th largest and the next."""
    if not 0 < k < rows.num_classes:
        raise InvalidValueError(must("k", f"lie below the number of classes ({rows.num_classes})", k))
    names = round(k * len(rows))
    largest = torch.empty(0, dtype=torch.float64)
    for _, block in rows.blocks():
        log_p = block.log_probabilities().cpu().flatten()
        largest = torch.cat([largest, log_p[~log_p.isnan()]])
        largest = largest.topk(min(names + 1, len(largest))).values
    return float(largest[names - 1 :].double().mean()) if len(largest) > names > 0 else float("-inf")
