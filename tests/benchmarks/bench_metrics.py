"""Top-k accuracy for k = 1, 3, 5 against one bare pass over the scores, and against each peer that is installed.

Run with ``python tests/benchmarks/bench_metrics.py [--quick] [--write]``; see page.py.

Bytes that must move: the scores once (N·C·itemsize). What is done beyond it in each block of about 2^17 elements, which
stays in cache: two comparisons into a mask of the scores' dtype and two sums of that mask. "by columns" are scores whose
transpose lies in order, as the output of some layers, "class_dim" those of a (1, C, N) map; the bare pass is over a copy that
lies in order. Peers take one k at a time but timm, whose call takes all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torchmetrics import Metric

sys.path.insert(0, str(Path(__file__).parent))

from page import Ratio, Table, digits, publish, quick
from timing import peak_extra_bytes, ratios_of_rounds

from topk_lightning.metrics import TopKAccuracies, TopKAccuracy, topk_accuracy

K = (1, 3, 5)
RANDOM = [
    ((256, 10), torch.float32), ((256, 100), torch.float32), ((256, 1000), torch.float32), ((256, 21_841), torch.float32),
    ((64, 100_000), torch.float32), ((8192, 1000), torch.float32), ((256, 10), torch.bfloat16), ((256, 1000), torch.bfloat16),
    ((8192, 1000), torch.bfloat16), ((256, 10), torch.float16), ((256, 1000), torch.float16), ((8192, 1000), torch.float16),
]  # fmt: skip
KINDS = ("target first", "all tied", "by columns", "class_dim", "every 2nd column")
OTHERS = [(shape, kind) for shape in ((256, 1000), (8192, 1000)) for kind in KINDS]
BOUND = "`forward` ÷ bound"
OURS = ("`topk_accuracy`", "`TopKAccuracy`", "`TopKAccuracies`", "its `forward`")
PEERS = ("timm", "torcheval", "ignite", "torchmetrics", "scikit-learn")
# Peers that take longer than this many scores are worth.
SLOW = {"torchmetrics": 3e5, "scikit-learn": 3e5, "torcheval": 1e7, "ignite": 1e7}


def scores_of(shape: tuple[int, int], kind: str, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores as they lie, the same in order, and targets."""
    torch.manual_seed(0)
    ordered = (torch.ones(shape) if kind == "all tied" else torch.randn(shape)).to(dtype)
    target = torch.randint(shape[1], shape[:1])
    if kind == "target first":
        return ordered, ordered, ordered.argmax(1)
    if kind == "by columns":
        return ordered.t().contiguous().t(), ordered, target
    if kind == "class_dim":
        return ordered.t().contiguous().unsqueeze(0), ordered, target.unsqueeze(0)
    if kind == "every 2nd column":
        wide = torch.empty(shape[0], 2 * shape[1], dtype=dtype)
        wide[:, ::2] = ordered
        return wide[:, ::2], ordered, target
    return ordered, ordered, target


def peers(scores: Tensor, target: Tensor) -> dict[str, Callable[[], object]]:
    """Return what each installed peer takes for all k."""
    found: dict[str, Callable[[], object]] = {}
    num_classes = scores.shape[1]
    try:
        from timm.utils import accuracy

        found["timm"] = lambda: accuracy(scores, target, K)
    except ModuleNotFoundError:
        pass
    if scores.ndim > 2:
        return found
    try:
        from torcheval.metrics import MulticlassAccuracy as OfTorcheval

        evals = [OfTorcheval(k=k) for k in K]
        found["torcheval"] = lambda: [metric.update(scores, target) for metric in evals]
    except ModuleNotFoundError:
        pass
    try:
        from ignite.metrics import TopKCategoricalAccuracy

        ignites = [TopKCategoricalAccuracy(k) for k in K]
        found["ignite"] = lambda: [metric.update((scores, target)) for metric in ignites]
    except ModuleNotFoundError:
        pass
    from torchmetrics.classification import MulticlassAccuracy

    metrics = [MulticlassAccuracy(num_classes, top_k=k, average="micro", validate_args=False) for k in K]
    found["torchmetrics"] = lambda: [metric.update(scores, target) for metric in metrics]
    try:
        from sklearn.metrics import top_k_accuracy_score

        labels = range(num_classes)
        found["scikit-learn"] = lambda: [
            top_k_accuracy_score(target.numpy(), scores.float().numpy(), k=k, labels=labels) for k in K
        ]
    except ModuleNotFoundError:
        pass
    return {name: call for name, call in found.items() if scores.numel() <= SLOW.get(name, 1e9)}


class Nothing(Metric):
    """A metric whose every call is torchmetrics' own time."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("count", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, scores: Tensor, target: Tensor) -> None:
        """Do nothing."""

    def compute(self) -> Tensor:
        """Return the state."""
        return self.count


def measure(shape: tuple[int, int], dtype: torch.dtype, kind: str, others: bool) -> tuple[dict[str, Ratio], float]:
    """Return the ratios to a bare pass, and the extra memory of the function in units of the scores."""
    scores, ordered, target = scores_of(shape, kind, dtype)
    single, collection, nothing = TopKAccuracy(5), TopKAccuracies(K), Nothing()
    calls: dict[str, Callable[[], object]] = {
        "amax": lambda: ordered.amax(1),
        OURS[0]: lambda: topk_accuracy(scores, target, K),
        OURS[1]: lambda: single.update(scores, target),
        OURS[2]: lambda: collection.update(scores, target),
        OURS[3]: lambda: collection(scores, target),
        "forward": lambda: single(scores, target),
        "nothing": lambda: nothing(scores, target),
    }
    calls |= peers(scores if kind != "class_dim" else scores[0].t(), target.flatten()) if others else {}
    ratios = ratios_of_rounds(calls, "amax", rounds=3 if quick() else 5, seconds=0.02)
    memory = peak_extra_bytes(calls[OURS[0]]) / (ordered.numel() * ordered.itemsize)
    once_more = zip(ratios["forward"], ratios[OURS[1]], ratios["nothing"], strict=True)
    ratios[BOUND] = [forward / (2 * update + empty) for forward, update, empty in once_more]
    return {name: Ratio.of(found) for name, found in ratios.items()}, memory


def main() -> None:
    """Measure and publish both tables."""
    torch.set_num_threads(1)
    rows = []
    for shape, dtype in RANDOM[:3] if quick() else RANDOM:
        found, memory = measure(shape, dtype, "random", others=True)
        cells = [str(found.get(name, "–")) for name in (*OURS, BOUND, *PEERS)]
        rows.append([f"{shape} {str(dtype).removeprefix('torch.')}", *cells, digits(memory)])
    layouts, base = [], {}
    for shape, kind in OTHERS[:2] if quick() else OTHERS:
        if shape not in base:
            base[shape] = measure(shape, torch.float32, "random", others=False)[0][OURS[1]].median
        found, memory = measure(shape, torch.float32, kind, others=True)
        times = f"{found[OURS[1]].median / base[shape]:.1f} ×"
        layouts.append(
            [f"{shape} {kind}", *(str(found.get(name, "–")) for name in (*OURS, "timm")), times, digits(memory)]
        )
    peer_note = "The bound of `TopKAccuracy.forward` is two of its updates and the forward of a torchmetrics metric that does nothing. Extra memory is what `topk_accuracy` held at most, in units of the scores. – : too slow to wait for, or not installed."
    publish(
        "metrics",
        [
            Table(
                "Time ÷ `scores.amax(1)`; k = 1, 3, 5.",
                ["scores", *OURS, BOUND, *PEERS, "extra memory"],
                rows,
                peer_note,
            ),
            Table(
                "The same in float32 where each target has the best score, as in a trained network, where all scores tie, and "
                "where they do not lie in order; the last but one column is `TopKAccuracy` ÷ itself on ordered random scores.",
                ["scores", *OURS, "timm", "÷ random", "extra memory"],
                layouts,
                "timm leaves open which of several equal scores it names, so all tied is no work for it.",
            ),
        ],
    )


if __name__ == "__main__":
    main()
