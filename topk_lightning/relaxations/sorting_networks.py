"""Soft permutations that come from sorting networks: products of soft swaps, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from topk_lightning._checks.options import check_choice
from topk_lightning._checks.relaxations import check_column, check_relaxation_scores
from topk_lightning.relaxations._ranked import ranked
from topk_lightning.relaxations._rows import result_of, small_dtype

__all__ = ["bitonic_network", "odd_even_network"]

SWAPS = ("logistic", "cauchy")

# A layer names for each wire its partner (itself: no swap) and whether the wire keeps the larger of the two scores.
Layer = tuple[list[int], list[bool]]


def odd_even_network(
    scores: Tensor, k: int, *, temperature: float = 1.0, column: Tensor | None = None, swap: str = "logistic"
) -> Tensor:
    """Return the logarithm of the first k rows of the soft permutation of an odd-even transposition network.

    C layers compare neighbouring wires. A soft swap leaves two scores a, b with chance p = F((a − b)/t) as they are and
    exchanges them otherwise: the first wire goes on with p·a + (1 − p)·b, the second with the rest, and the
    permutation is the product of these swaps. As t → 0 it becomes the hard one.

    It depends on the order of the scores: equal scores on different wires have different rows. With `column` the class
    therefore starts on each wire in turn, before, between and behind the others in falling order, and the mean counts:
    it does not depend on the class's position.

    Shape:
        scores (…, C) to (…, k, C), or with column (…) to (…, k). Either holds C² numbers a layer for the backward pass.

    Args:
        scores: scores of a float dtype, −∞ for a masked class, which loses every swap and has no rank.
        k: how many rows, 1 ≤ k ≤ C.
        temperature: t > 0, in units of the scores; larger is smoother.
        column: one class for each row of scores, (…); only its logarithms are returned.
        swap: "logistic", F(x) = 1/(1 + e^−x), or "cauchy", F(x) = 1/2 + arctan(x)/π, whose slope falls off more slowly.

    Returns:
        Logarithms of chances: (…, k, C) in float32 (float64 for float64 scores), or with `column` (…, k) in float64, since
        differences of them count. Rows and columns sum to 1 (before the logarithm).

    Raises:
        TypeError: if a dtype is wrong.
        ValueError: if k > C, or an option or a shape is wrong.

    Examples:
        Two scores are one swap; log 3 temperatures make odds of 3 to 1.

        >>> odd_even_network(torch.tensor([0.0, 1.0]), 1, temperature=1 / math.log(3)).exp()
        tensor([[0.2500, 0.7500]])

    Source:
        Petersen, Borgelt, Kuehne, Deussen, ICML 2021, arXiv:2105.04019; Cauchy: ICLR 2022, arXiv:2203.09630.
    """
    num_wires = scores.shape[-1]
    return _network(scores, k, temperature, column, swap, num_wires, _odd_even_layers(num_wires))


def bitonic_network(
    scores: Tensor, k: int, *, temperature: float = 1.0, column: Tensor | None = None, swap: str = "logistic"
) -> Tensor:
    """Return the logarithm of the first k rows of the soft permutation of a bitonic network.

    As :func:`odd_even_network`, with Batcher's bitonic network: log² C layers in place of C, each of which compares
    wires further apart. Wires are added up to a power of two; they carry −∞, lose every swap and leave no trace.

    Shape:
        scores (…, C) to (…, k, C), or with column (…) to (…, k). Either holds C² numbers a layer for the backward pass.

    Args:
        scores: scores of a float dtype, −∞ for a masked class, which loses every swap and has no rank.
        k: how many rows, 1 ≤ k ≤ C.
        temperature: t > 0, in units of the scores; larger is smoother.
        column: one class for each row of scores, (…); only its logarithms are returned.
        swap: "logistic", F(x) = 1/(1 + e^−x), or "cauchy", F(x) = 1/2 + arctan(x)/π, whose slope falls off more slowly.

    Returns:
        Logarithms of chances: (…, k, C) in float32 (float64 for float64 scores), or with `column` (…, k) in float64, since
        differences of them count. Rows and columns sum to 1 (before the logarithm).

    Raises:
        TypeError: if a dtype is wrong.
        ValueError: if k > C, or an option or a shape is wrong.

    Examples:
        Two scores are one swap; log 3 temperatures make odds of 3 to 1.

        >>> bitonic_network(torch.tensor([0.0, 1.0]), 1, temperature=1 / math.log(3)).exp()
        tensor([[0.2500, 0.7500]])

    Source:
        Petersen, Borgelt, Kuehne, Deussen, ICML 2021, arXiv:2105.04019; Cauchy: ICLR 2022, arXiv:2203.09630.
    """
    num_wires = 1 << max(0, scores.shape[-1] - 1).bit_length()
    return _network(scores, k, temperature, column, swap, num_wires, _bitonic_layers(num_wires))


def _odd_even_layers(num_wires: int) -> Iterator[Layer]:
    """Neighbours (0,1), (2,3), …, then (1,2), (3,4), …, as many layers as wires."""
    for layer in range(num_wires):
        partner = list(range(num_wires))
        for wire in range(layer % 2, num_wires - 1, 2):
            partner[wire], partner[wire + 1] = wire + 1, wire
        yield partner, [other >= wire for wire, other in enumerate(partner)]


def _bitonic_layers(num_wires: int) -> Iterator[Layer]:
    """Merge sorted runs of 2, 4, 8, … wires, every second run rising, so that each merge sees a bitonic run."""
    run = 2
    while run <= num_wires:
        stride = run // 2
        while stride:
            partner = [wire ^ stride for wire in range(num_wires)]
            yield partner, [(wire < other) == (wire & run == 0) for wire, other in enumerate(partner)]
            stride //= 2
        run *= 2


def _network(
    scores: Tensor,
    k: int,
    temperature: float,
    column: Tensor | None,
    swap: str,
    num_wires: int,
    layers: Iterator[Layer],
) -> Tensor:
    rows, k, temperature = check_relaxation_scores(scores, k, temperature)
    column = check_column(column, scores)
    check_choice("swap", swap, SWAPS)
    num_classes = rows.shape[1]
    # Each layer would round what the one before has made.
    rows = rows.to(small_dtype(rows))
    # Only differences matter: against the best class nothing is lost to large scores.
    best = rows.detach().amax(1, keepdim=True)
    rows = rows - best.masked_fill(best == -math.inf, 0)
    # Wires that pad to a power of two carry −∞, like masked classes: they lose every swap, and no mass starts there.
    identity = torch.eye(num_classes, num_wires, device=rows.device, dtype=rows.dtype).log()
    if column is None:
        # Every class starts on its own wire: (M, 1, wires) scores and (M, classes, wires) masses.
        wires = rows.unsqueeze(1)
    else:
        # The class in question starts on each wire in turn, the others in falling order: (M, starts, wires).
        others = ranked(rows.scatter(1, column, -math.inf), num_classes - 1)
        wires = _insert(others, rows.gather(1, column))
    wires = F.pad(wires, (0, num_wires - num_classes), value=-math.inf)
    mass = _run(wires, identity.expand(len(rows), -1, -1), temperature, swap, layers)[..., :k]
    if column is None:
        masked = (rows == -math.inf).unsqueeze(1)
        mass = result_of(mass.transpose(1, 2).masked_fill(masked, -math.inf), scores)
        return mass.reshape(*scores.shape[:-1], k, num_classes)
    # A start behind masked classes is no place of its own.
    number = (rows > -math.inf).sum(1).clamp(min=1)
    behind = torch.arange(num_classes, device=rows.device) >= number.unsqueeze(1)
    mean = mass.masked_fill(behind.unsqueeze(2), -math.inf).logsumexp(1) - number.to(rows.dtype).log().unsqueeze(1)
    return mean.masked_fill(rows.gather(1, column) == -math.inf, -math.inf).reshape(*scores.shape[:-1], k)


def _insert(others: Tensor, own: Tensor) -> Tensor:
    """Put `own` (M, 1) before, between and behind `others` (M, C−1), for each of the C places: (M, C, C)."""
    num_classes = others.shape[1] + 1
    wire = torch.arange(num_classes, device=others.device)
    start = wire.unsqueeze(1)
    # Position 0 of the joined row is the class itself.
    source = torch.where(wire == start, 0, wire + (wire < start).long())
    return torch.cat([own, others], 1)[:, source]


def _run(wires: Tensor, mass: Tensor, temperature: float, swap: str, layers: Iterator[Layer]) -> Tensor:
    """Send scores and log masses through the soft swaps."""
    empty = wires == -math.inf
    wires = wires.masked_fill(empty, 0)
    for partner_list, keeps_larger in layers:
        partner = torch.tensor(partner_list, device=wires.device)
        sign = torch.tensor([1.0 if larger else -1.0 for larger in keeps_larger], device=wires.device).to(wires.dtype)
        other, other_empty = wires[..., partner], empty[..., partner]
        # With −∞ on a wire the swap is hard: the −∞ moves to the side of the smaller score, two of them stay.
        lead = (wires - other) * (sign / temperature)
        stays = _log_swap(lead, swap)
        moves = _log_swap(-lead, swap)
        hard = empty | other_empty
        goes = (empty & ~other_empty & (sign > 0)) | (other_empty & ~empty & (sign < 0))
        stays = torch.where(hard, torch.where(goes, -math.inf, 0.0).to(stays.dtype), stays)
        moves = torch.where(hard, torch.where(goes, 0.0, -math.inf).to(moves.dtype), moves)
        wires = torch.where(moves > stays, other + stays.exp() * (wires - other), wires + moves.exp() * (other - wires))
        empty = torch.where(goes, other_empty, empty)
        mass = _log_add(mass + stays, mass[..., partner] + moves)
    return mass


def _log_add(a: Tensor, b: Tensor) -> Tensor:
    """Return log(e^a + e^b) with gradient 0, not NaN, where both are −∞."""
    nothing = (a == -math.inf) & (b == -math.inf)
    return torch.logaddexp(a.masked_fill(nothing, 0), b.masked_fill(nothing, 0)).masked_fill(nothing, -math.inf)


def _log_swap(lead: Tensor, swap: str) -> Tensor:
    """Return the log probability that a score that leads by `lead` temperatures counts as the larger."""
    if swap == "logistic":
        return F.logsigmoid(lead)
    # atan(1/x)/π on the far negative side, where 1/2 + atan(x)/π would cancel.
    far = lead < -1
    near = (0.5 + lead.masked_fill(far, 0).atan() / math.pi).log()
    return torch.where(far, ((-1 / lead.masked_fill(~far, -1)).atan() / math.pi).log(), near)
