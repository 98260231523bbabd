"""What is done to labels: noise within groups of similar classes, and a long tail."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["noisy_labels", "similar_groups", "tail_counts"]

GROUP_SIZE = 5
MOST_OF_A_CLASS, IMBALANCE = 50, 50


def similar_groups(images: Tensor, labels: Tensor) -> Tensor:
    """Return groups of five classes whose mean images are close, the closest five first, (C,).

    Args:
        images: (N, D).
        labels: classes 0 … C − 1, each of which occurs, (N,).
    """
    num_classes = int(labels.max()) + 1
    means = torch.stack([images[labels == label].mean(0) for label in range(num_classes)])
    left, groups, number = list(range(num_classes)), torch.zeros(num_classes, dtype=torch.int64), 0
    while left:
        places = torch.tensor(left)
        # A remainder that would make a group of its own joins the last one.
        size = len(left) if len(left) < 2 * GROUP_SIZE else GROUP_SIZE
        nearest, members = torch.cdist(means[places], means[places]).sort(1)
        first = int(nearest[:, :size].sum(1).argmin())
        chosen = places[members[first, :size]]
        groups[chosen] = number
        left, number = [label for label in left if label not in set(chosen.tolist())], number + 1
    return groups


def noisy_labels(labels: Tensor, share: float, groups: Tensor, generator: torch.Generator) -> Tensor:
    """Return labels of which a share is drawn anew among the classes of their group, the own one included."""
    drawn_anew = torch.rand(len(labels), generator=generator) < share
    same_group = (groups.unsqueeze(1) == groups).float()
    drawn = same_group[labels].multinomial(1, generator=generator).squeeze(1)
    return torch.where(drawn_anew, drawn, labels)


def tail_counts(num_classes: int, generator: torch.Generator) -> Tensor:
    """Return images per class that fall geometrically from 50 to 1, over the classes in random order, (C,)."""
    falling = MOST_OF_A_CLASS * IMBALANCE ** -torch.linspace(0, 1, num_classes)
    return falling.round().long()[torch.randperm(num_classes, generator=generator)]
