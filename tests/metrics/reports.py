"""Class reports made from confusion tables and from random scores."""

from __future__ import annotations

import torch

from topk_lightning.metrics import ClassReport

ANIMALS = torch.tensor([[50, 2, 3], [4, 45, 1], [2, 3, 40]])


def rows_of(table):
    """Scores (N, C) and targets (N,) whose confusion table this is."""
    actual, predicted = table.nonzero(as_tuple=True)
    count = table[actual, predicted]
    actual, predicted = actual.repeat_interleave(count), predicted.repeat_interleave(count)
    return torch.nn.functional.one_hot(predicted, len(table)).float(), actual


def report_of(table, names=None, k=1):
    """A report of this confusion table."""
    report = ClassReport(len(table), k, names)
    report.update(*rows_of(table))
    return report


def hard_batch(rows=200, classes=7, seed=0, absent=5, nan=0.03):
    """Scores with many ties, infinities and a few NaN, and labels of all classes but one."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(4, (rows, classes), generator=generator).float()
    scores[torch.rand(rows, classes, generator=generator) < 0.02] = float("-inf")
    scores[torch.rand(rows, classes, generator=generator) < nan] = float("nan")
    target = torch.randint(classes, (rows,), generator=generator)
    return scores, target.where(target != absent, 0)


def sure_batch(rows, classes, right, seed=0):
    """Scores that name the right class with probability `right`, else any other; and all labels in turn."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.arange(rows) % classes
    wrong = (target + torch.randint(1, classes, (rows,), generator=generator)) % classes
    named = target.where(torch.rand(rows, generator=generator) < right, wrong)
    scores = torch.rand(rows, classes, generator=generator)
    scores[torch.arange(rows), named] = 2.0
    return scores, target
