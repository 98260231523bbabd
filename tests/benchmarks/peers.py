"""The losses of others that can be installed, and what they return where losses are hard to compute.

``pip install difftopk pytopk`` (neither is needed otherwise; difftopk is built from its sources). difftopk is by the authors
of the top-k cross entropy, and holds the code of the authors of the smooth top-k SVM (oval-group/smooth-topk, which is on
no index); pytopk is by the authors of the noised hinge.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from topk_lightning import losses

__all__ = ["PEERS", "Peer", "hard_cases", "missing_peers"]

Loss = Callable[[Tensor, Tensor], Tensor]

with contextlib.redirect_stdout(io.StringIO()):  # difftopk prints what it could do with torch-sparse
    try:
        import difftopk
    except ImportError:
        difftopk = None
try:
    import pytopk
except ImportError:
    pytopk = None


class Peer(NamedTuple):
    """A loss of another package.

    Args:
        package: the imported package, None where it is not installed.
        make: from the number of classes and k to the loss.
        twin: from k to our loss of the same value (without noise, where there is noise); None where there is none.
        quiet: the peer without noise, where there is noise.
        squared: whether it holds a C × C matrix for each row.
    """

    package: Any
    make: Callable[[int, int], Loss]
    twin: Callable[[int], Loss] | None
    quiet: Callable[[int, int], Loss] | None = None
    squared: bool = False


def _shares(k: int) -> tuple[float, ...]:
    return (1 / k,) * k


def _difftopk(method: str, candidates: int | None) -> Peer:
    def make(num_classes: int, k: int) -> Loss:
        found: Loss = difftopk.TopKCrossEntropyLoss(
            method, inverse_temperature=0.5, p_k=list(_shares(k)), n=num_classes, m=candidates
        )
        return found

    def twin(k: int) -> Loss:
        return losses.TopKCrossEntropyLoss(_shares(k), temperature=2.0, num_candidates=candidates, relaxation=method)

    return Peer(difftopk, make, twin, squared=candidates is None)


PEERS: dict[str, Peer] = {
    "difftopk, SmoothTopKLoss": Peer(
        difftopk, lambda c, k: difftopk.SmoothTopKLoss(c, k), lambda k: losses.SmoothTopKSVMLoss(k, units="published")
    ),
    "difftopk, SoftSort, 16 candidates": _difftopk("softsort", 16),
    "difftopk, SoftSort, all classes": _difftopk("softsort", None),
    "difftopk, NeuralSort, 16 candidates": _difftopk("neuralsort", 16),
    "pytopk, BalNoisedTopK": Peer(
        pytopk,
        lambda c, k: pytopk.BalNoisedTopK(k, 1.0),
        lambda k: losses.CalibratedTopKHingeLoss(k),
        quiet=lambda c, k: pytopk.BalNoisedTopK(k, 0.0),
    ),
}


def missing_peers() -> str:
    """Return a sentence on the packages that are not installed, or an empty text."""
    missing = [name for name, package in (("difftopk", difftopk), ("pytopk", pytopk)) if package is None]
    return f"Left out, since not installed: {', '.join(missing)} (pip install {' '.join(missing)})." if missing else ""


def hard_cases(peer: Peer, num_classes: int = 100) -> dict[str, str]:
    """Return, for each hard case, the relative errors of the peer's value and gradient, or what it raises.

    The reference is our loss in float64 on the same logits, which the tests hold to 60-digit references. The gradient's
    error is the largest one, divided by the largest entry. Where scores are equal (after a rounding), a hinge may choose
    another of the tied classes: an error of 1 that is none.
    """
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(64, num_classes, generator=generator)
    target = torch.randint(num_classes, (64,), generator=generator)
    masked = logits.index_fill(1, torch.tensor([7]), -torch.inf)
    elsewhere = torch.where(target == 7, 8, target)
    cases: dict[str, tuple[Tensor, Tensor, int]] = {
        "float32": (logits, target, 5),
        "logits × 1000": (1000 * logits, target, 5),
        "logits + 10⁴": (logits + 1e4, target, 5),
        "bfloat16": (logits.bfloat16(), target, 5),
        "float16": (logits.half(), target, 5),
        "a class at −∞": (masked, elsewhere, 5),
        "k = 1": (logits, target, 1),
        "k = C": (logits[:, :6], target % 6, 6),
        "soft target": (logits, torch.nn.functional.one_hot(target, num_classes).float(), 5),
    }
    if peer.twin is None:
        return {}
    return {name: _compare(peer.quiet or peer.make, peer.twin(case[2]), *case) for name, case in cases.items()}


def _compare(make: Callable[[int, int], Loss], twin: Loss, logits: Tensor, target: Tensor, k: int) -> str:
    try:
        found = _value_and_gradient(make(logits.shape[1], k), logits, target)
    except Exception as error:  # whatever the code of others raises
        return type(error).__name__
    exact = _value_and_gradient(twin, logits.double(), target.double() if target.ndim > 1 else target)
    if not all(part.isfinite().all() for part in found):
        return "not finite"
    errors = [
        float((part.double() - true).abs().max() / true.abs().max().clamp(min=1e-300))
        for part, true in zip(found, exact, strict=True)
    ]
    return ", ".join(f"{error:.0e}".replace("e-0", "e-").replace("e+00", "") if error else "0" for error in errors)


def _value_and_gradient(loss: Loss, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    leaf = logits.clone().requires_grad_()
    value = loss(leaf, target)
    return value.detach(), torch.autograd.grad(value, leaf)[0]
