"""What all losses share: how often a row is evaluated, what is refused, and in which words."""

from __future__ import annotations

import gc
import inspect
import math
import re

import pytest
import torch
from torch import Tensor, nn

from tests.benchmarks.timing import peak_extra_bytes
from tests.losses.all_cases import ALL_CASES
from topk_lightning.losses import (
    NoisedTopKHingeLoss,
    SmoothTopKSVMLoss,
    TemperatureCrossEntropyLoss,
    TruncatedTopKEntropyLoss,
    smooth_topk_svm_loss,
    truncated_topk_entropy_loss,
)
from topk_lightning.losses._base import ClassificationLoss
from topk_lightning.losses._reduce import reduce_rows

SCORES = torch.zeros(32, 10)
LABELS = torch.zeros(32, dtype=torch.long)


class Counter:
    """Rows of a loss that cost their target's score, and how many of them were asked for."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        self.count += len(target)
        return logits.gather(1, target.unsqueeze(1)).squeeze(1)


def test_a_soft_target_costs_one_evaluation_for_each_class_that_it_holds():
    target = torch.zeros(32, 10)
    target[:, 3], target[:, 7] = 0.25, 0.75
    rows = Counter()
    loss = reduce_rows(rows, torch.arange(10.0).expand(32, 10), target)
    assert rows.count == 2 * 32
    assert loss.item() == 0.25 * 3 + 0.75 * 7


def test_a_dense_target_is_evaluated_in_blocks(monkeypatch):
    monkeypatch.setattr("topk_lightning.losses._reduce._PAIR_BLOCK", 40)
    sizes = []

    def rows(logits: Tensor, target: Tensor) -> Tensor:
        sizes.append(logits.numel())
        return logits.gather(1, target.unsqueeze(1)).squeeze(1) ** 2

    logits = torch.randn(5, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.full((5, 8), 1 / 8)
    loss = reduce_rows(rows, logits, target, reduction="sum")
    loss.backward()
    assert max(sizes) <= 40
    torch.testing.assert_close(loss, (logits**2 / 8).sum())
    torch.testing.assert_close(logits.grad, 2 * logits / 8)


@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.name)
def test_a_soft_target_holds_at_most_four_times_the_logits_beyond_the_gradient(case):
    if case.options.get("relaxation") == "neuralsort" and case.options["num_candidates"] is None:
        pytest.skip("holds its k rows of all classes")
    logits = torch.randn(16, 20_000, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mixed = torch.zeros(16, 20_000)
    mixed[:, 3], mixed[:, 7] = 0.25, 0.75
    loss = case.make(20_000)

    def run() -> None:
        logits.grad = None
        loss(logits, mixed).backward()

    size = logits.numel() * logits.element_size()
    assert peak_extra_bytes(run) <= (1 + 4) * size


def test_float64_weights_keep_their_digits():
    weight = torch.tensor([1 / 3, 2 / 3], dtype=torch.float64)
    loss = TruncatedTopKEntropyLoss(k=1, weight=weight, reduction="sum")
    logits = torch.tensor([[0.0, 0.0]], dtype=torch.float64)
    assert loss.weight.dtype == torch.float64
    assert loss(logits, torch.tensor([0])).item() == pytest.approx(math.log(2) / 3, rel=1e-15)
    assert TruncatedTopKEntropyLoss(weight=[1 / 3, 2 / 3]).weight.dtype == torch.float32
    assert TruncatedTopKEntropyLoss(weight=torch.tensor([1, 2])).weight.dtype == torch.float32


def test_soft_targets_compile_into_a_static_form():
    loss = TemperatureCrossEntropyLoss(weight=[1.0, 2.0, 0.5])
    logits, target = (
        torch.randn(4, 3),
        torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]),
    )
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(logits, target), loss(logits, target))


def test_ignored_rows_are_not_evaluated():
    rows = Counter()
    reduce_rows(rows, SCORES, LABELS.index_fill(0, torch.arange(30), -100))
    assert rows.count == 2


def test_a_loss_keeps_no_memory_from_call_to_call():

    loss = SmoothTopKSVMLoss()
    logits = torch.randn(64, 200, requires_grad=True)

    def tensors_after_a_call() -> int:
        logits.grad = None
        loss(logits, torch.arange(64)).backward()
        gc.collect()
        return sum(type(thing) is Tensor for thing in gc.get_objects())

    tensors_after_a_call()
    before = tensors_after_a_call()
    assert tensors_after_a_call() <= before


def test_a_subclass_of_tensor_gives_a_plain_loss():
    class Image(Tensor):
        pass

    loss = SmoothTopKSVMLoss()(
        torch.zeros(4, 10).as_subclass(Image), torch.zeros(4, dtype=torch.long).as_subclass(Image)
    )
    assert type(loss) is Tensor


def test_repr_shows_the_options():
    assert repr(TruncatedTopKEntropyLoss(k=3)) == (
        "TruncatedTopKEntropyLoss(k=3, temperature=1.0, ignore_index=-100, reduction='mean', class_dim=1)"
    )


def test_the_base_is_no_loss():
    with pytest.raises(NotImplementedError):
        ClassificationLoss()(SCORES, LABELS)


@pytest.mark.parametrize(
    ("error", "sentence", "arguments"),
    [
        (
            ValueError,
            "target must have shape (32,) to match logits of shape (32, 10), got (32, 1). "
            "Did you mean target.squeeze(1)?",
            {"target": LABELS.unsqueeze(1)},
        ),
        (TypeError, "target must be of an integer dtype, got torch.float32. Did you mean target.long()?",
         {"target": LABELS.float()}),
        (TypeError, "logits must be of a float dtype, got torch.int64. Did you mean logits.float()?",
         {"logits": SCORES.long()}),
        (ValueError, "target must hold class indices in [0, 10), got 10. Class indices start at 0.",
         {"target": LABELS + 10}),
        (ValueError, "target must hold class indices in [0, 10), got -1. Did you mean ignore_index=-1?",
         {"target": LABELS - 1}),
        (ValueError, "target must not require a gradient, got target.requires_grad=True. Did you mean target.detach()?",
         {"target": SCORES.clone().softmax(1).requires_grad_()}),
        (ValueError, "k must be at most the number of classes (10), got 11. Use a smaller k.", {"k": 11}),
        (ValueError, "k must be at least 1, got 0.", {"k": 0}),
        (TypeError, "k must be an integer, got 2.0 of type float.", {"k": 2.0}),
        (ValueError, "temperature must be a finite number above 0, got 0.0.", {"temperature": 0.0}),
        (ValueError, "temperature must be a finite number above 0, got inf.", {"temperature": math.inf}),
        (ValueError, "reduction must be one of 'mean', 'sum', 'none', got 'avg'.", {"reduction": "avg"}),
        (ValueError, "weight must have shape (10,), one weight a class, got (3,).", {"weight": torch.ones(3)}),
        (ValueError, "weight must be at least 0 for each class, got -1.0.", {"weight": -torch.ones(10)}),
        (
            ValueError,
            "weight must be on the device of the logits (cpu), got meta. Move the loss with loss.to(device).",
            {"weight": torch.ones(10, device="meta")},
        ),
    ],
)  # fmt: skip
def test_what_is_refused_and_in_which_words(error, sentence, arguments):
    arguments = {"logits": SCORES, "target": LABELS, **arguments}
    with pytest.raises(error, match=f"^{re.escape(sentence)}$"):
        truncated_topk_entropy_loss(**arguments)


def test_a_row_that_is_no_distribution_is_refused():
    sentence = (
        "target must hold a distribution over classes in each row (≥ 0, sum 1) when it is a float tensor of the shape of "
        "the scores, got a row with minimum 0 and sum 2. Divide a target of several classes by its row sums."
    )
    several = torch.eye(10).repeat(4, 1)[:32] + torch.eye(10).roll(1, 0).repeat(4, 1)[:32]
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        truncated_topk_entropy_loss(SCORES, several)
    truncated_topk_entropy_loss(SCORES, several / several.sum(1, keepdim=True))


def test_the_docstring_holds_what_all_losses_share_before_its_examples():
    for documented in (TruncatedTopKEntropyLoss, truncated_topk_entropy_loss):
        before, _, after = documented.__doc__.partition("\n\nExamples:")
        assert before.startswith("Cross entropy")
        assert before.endswith("an option, a shape or a label is out of range.")
        assert "class_dim" not in after


def test_a_function_has_the_name_and_the_options_of_its_module():
    signature = inspect.signature(truncated_topk_entropy_loss)
    assert list(signature.parameters) == ["logits", "target", *inspect.signature(TruncatedTopKEntropyLoss).parameters]
    tensors = (signature.parameters["logits"].annotation, signature.parameters["target"].annotation)
    assert (*tensors, signature.return_annotation) == ("Tensor", "Tensor", "Tensor")
    assert truncated_topk_entropy_loss.__name__ == "truncated_topk_entropy_loss"
    assert smooth_topk_svm_loss.__name__ == "smooth_topk_svm_loss"


def test_one_class_has_nothing_to_learn():
    assert TruncatedTopKEntropyLoss()(torch.zeros(2, 1), LABELS[:2]).item() == 0


def test_what_others_ask_of_a_loss():
    assert ClassificationLoss.y_int is True
    assert ClassificationLoss().ignore_index == nn.CrossEntropyLoss().ignore_index
    scores = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(TruncatedTopKEntropyLoss(class_dim=-1).decodes(scores), scores.argmax(-1))
    assert "generator" not in repr(NoisedTopKHingeLoss())


def test_further_dimensions_are_further_rows():
    scores = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    target = torch.arange(20).view(4, 5) % 3
    found = truncated_topk_entropy_loss(scores, target, reduction="none")
    flat = truncated_topk_entropy_loss(scores.movedim(1, -1).reshape(20, 3), target.flatten(), reduction="none")
    assert torch.equal(found.flatten(), flat)


def test_rows_see_no_autocast_and_meta_tensors_have_none():
    def rows(logits: Tensor, target: Tensor) -> Tensor:
        return (logits @ torch.eye(10, device=logits.device)).gather(1, target.unsqueeze(1)).squeeze(1)

    scores = torch.full((32, 10), 1 / 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert reduce_rows(rows, scores, LABELS, reduction="none")[0] == scores[0, 0]
    assert reduce_rows(rows, scores.to("meta"), LABELS.to("meta")).is_meta


def test_an_infinite_loss_of_weight_0_counts_0():
    def rows(logits: Tensor, target: Tensor) -> Tensor:
        return torch.where(target == 0, math.inf, logits[:, 1])

    weight = torch.tensor([0.0, 1.0, 1.0])
    assert reduce_rows(rows, torch.ones(2, 3), torch.tensor([0, 1]), weight=weight, reduction="sum") == 1


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 0.5]])
def test_ignored_rows_weigh_nothing_in_a_compiled_graph(weight):
    loss = TemperatureCrossEntropyLoss(weight=weight)
    scores, target = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, -100, 2, 1])
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(scores, target), loss(scores, target))


@pytest.mark.parametrize("ignored", [0, 1, 2])
def test_an_ignored_index_may_be_that_of_a_class(ignored):
    rows = Counter()
    reduce_rows(rows, torch.zeros(3, 3), torch.arange(3), ignore_index=ignored)
    assert rows.count == 2


def test_a_soft_target_passes_the_gradient_of_its_loss_on_and_none_of_the_second_order():
    scores, target = torch.randn(4, 3, requires_grad=True), torch.full((4, 3), 1 / 3)
    loss = TemperatureCrossEntropyLoss()(scores, target)
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        torch.autograd.grad(loss, scores, create_graph=True)
    loss = TemperatureCrossEntropyLoss()(scores, target)
    (slope,) = torch.autograd.grad(3 * loss, scores)
    torch.testing.assert_close(slope, 3 / 4 * (scores.detach().softmax(1) - 1 / 3))
