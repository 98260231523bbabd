"""Many small trainings at once: the members are one batched network, so that each takes a fraction of a second.

Every member has its own split, initial weights, order of images, learning rate and weight decay. Methods share the splits,
weights and orders of a seed, so that their differences are paired.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from methods import Scheduled
from settings import Candidate, Setting
from splits import Split
from torch import Tensor, nn

from topk_lightning import topk_accuracy
from topk_lightning.curricula import progress_at

__all__ = ["K", "Trained", "train"]

K = (1, 5, 10)
HIDDEN = 64
# Accuracies on the way are those of the first so many images.
_ON_THE_WAY = 1000


@dataclass(frozen=True)
class Trained:
    """What became of the members.

    Attributes:
        logits: of the images to measure on, a tensor (M, C) for each member.
        accuracies: top 1, 5 and 10, a list for each member.
        curves: the same after each epoch, on a part of the images; empty unless asked for.
    """

    logits: list[Tensor]
    accuracies: list[list[float]]
    curves: list[list[list[float]]]


def train(
    setting: Setting,
    splits: Sequence[Split],
    candidates: Sequence[Candidate],
    losses: Sequence[nn.Module],
    *,
    curves: bool = False,
) -> Trained:
    """Train one member for each split and candidate, and measure it on the images of its split.

    Args:
        setting: the network, epochs and batch size.
        splits: of each member, all of one size.
        candidates: rate and decay of each member.
        losses: one for all members, or one for each.
        curves: whether to measure after each epoch, too.
    """
    torch.manual_seed(splits[0].seed)  # the draws of the noised hinge
    network = _Members(setting, splits, candidates)
    batch = min(setting.batch_size, len(splits[0].labels))
    steps = len(splits[0].labels) // batch
    total, step = setting.epochs * steps, 0
    orders = [torch.Generator().manual_seed(2000 + split.seed) for split in splits]
    on_the_way: list[list[list[float]]] = [[] for _ in splits]
    for _ in range(setting.epochs):
        chosen = [
            torch.randperm(len(s.labels), generator=o)[: steps * batch] for s, o in zip(splits, orders, strict=True)
        ]
        images = _by_step([split.images[c] for split, c in zip(splits, chosen, strict=True)], steps)
        labels = _by_step([split.labels[c] for split, c in zip(splits, chosen, strict=True)], steps)
        for x, y in zip(images, labels, strict=True):
            for loss in losses:
                if isinstance(loss, Scheduled):
                    loss.follow(loss.loss, progress_at(step, total))
            step += 1
            share = min(1.0, step / (0.05 * total)) * (1 + math.cos(math.pi * step / total)) / 2
            network.learn(_total_loss(losses, network(x), y), share)
        if curves:
            for member, split in enumerate(splits):
                logits = network.logits(member, split.measured[:_ON_THE_WAY])
                on_the_way[member].append(_accuracies(setting, logits, split.truth[:_ON_THE_WAY]))
    found = [network.logits(member, split.measured) for member, split in enumerate(splits)]
    accuracies = [_accuracies(setting, s, split.truth) for s, split in zip(found, splits, strict=True)]
    return Trained(found, accuracies, on_the_way)


class _Members:
    """A perceptron of one hidden layer for each member, with AdamW; parameters have the members as first dimension."""

    def __init__(self, setting: Setting, splits: Sequence[Split], candidates: Sequence[Candidate]) -> None:
        self.linear = setting.rank is not None
        sizes = [splits[0].images.shape[1], setting.rank or HIDDEN, len(splits[0].groups)]
        made = [_initial(split.seed, sizes) for split in splits]
        self.parameters = [torch.stack(parts).requires_grad_() for parts in zip(*made, strict=True)]
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters]
        self.rates = torch.tensor([c.learning_rate for c in candidates]).view(-1, 1, 1)
        self.decays = torch.tensor([c.decay for c in candidates]).view(-1, 1, 1)
        self.steps = 0

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits (members, N, C) of images (members, N, D)."""
        return self._forward(self.parameters, images)

    @torch.no_grad()
    def logits(self, member: int, images: Tensor) -> Tensor:
        """Return the logits (N, C) of one member."""
        return self._forward([p[member : member + 1] for p in self.parameters], images.unsqueeze(0))[0]

    def learn(self, loss: Tensor, share: float) -> None:
        """Make one step of AdamW, at a share of the learning rates."""
        gradients = torch.autograd.grad(loss, self.parameters)
        self.steps += 1
        rates = self.rates * share
        with torch.no_grad():
            for p, g, mean, square in zip(self.parameters, gradients, self.means, self.squares, strict=True):
                mean.lerp_(g, 0.1)
                square.mul_(0.999).addcmul_(g, g, value=0.001)
                if p.shape[1] > 1:  # no decay of the biases
                    p.mul_(1 - rates * self.decays)
                size = square.div(1 - 0.999**self.steps).sqrt_().add_(1e-8)
                p.sub_(mean.div(size).mul_(rates / (1 - 0.9**self.steps)))

    def _forward(self, parameters: Sequence[Tensor], images: Tensor) -> Tensor:
        first, first_bias, second, second_bias = parameters
        hidden = torch.baddbmm(first_bias, images, first)
        return torch.baddbmm(second_bias, hidden if self.linear else hidden.relu(), second)


def _initial(seed: int, sizes: Sequence[int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3000 + seed)
    found = []
    for inputs, outputs in pairwise(sizes):
        found += [torch.randn(inputs, outputs, generator=generator) / inputs**0.5, torch.zeros(1, outputs)]
    return found


def _by_step(parts: Sequence[Tensor], steps: int) -> Tensor:
    """Return (steps, members, batch, …) of one tensor (steps · batch, …) for each member."""
    return torch.stack([part.reshape(steps, -1, *part.shape[1:]) for part in parts], 1)


def _total_loss(losses: Sequence[nn.Module], logits: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of the members' mean losses."""
    if len(losses) == 1:
        value: Tensor = losses[0](logits.flatten(0, 1), labels.flatten()) * len(logits)
        return value
    return torch.stack([loss(s, y) for loss, s, y in zip(losses, logits, labels, strict=True)]).sum()


def _accuracies(setting: Setting, logits: Tensor, labels: Tensor) -> list[float]:
    average = "macro" if setting.tail else "micro"
    values: list[float] = topk_accuracy(logits, labels, k=K, average=average).tolist()
    return values
