"""The order rule, against a stable sort and a loop."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from tests.benchmarks.timing import peak_extra_bytes
from topk_lightning import _target_ranks
from topk_lightning._target_ranks import count_plainly
from topk_lightning._topk_ways import _topk_of_keys
from topk_lightning.ranking import count_ahead, count_ahead_and_tied, in_topk, target_rank, topk_indices

WORKED_SCORES = torch.tensor([[0.1, 0.8, 0.05, 0.05], [0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]])
WORKED_TARGET = torch.tensor([1, 2, 3])
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INTEGERS = (torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16, torch.int32, torch.int64)


def rank_by_sort(scores: Tensor, target: Tensor) -> Tensor:
    """Position of the target in a stable descending sort of (N, C) scores."""
    order = scores.double().sort(dim=1, descending=True, stable=True).indices
    return (order == target.long().unsqueeze(1)).long().argmax(1)


def rank_by_loop(row: list[float], label: int, ties: str) -> int:
    own = row[label]
    if math.isnan(own):
        return len(row)
    ahead = 0
    for index, score in enumerate(row):
        if index == label:
            continue
        if math.isnan(score) or score > own:
            ahead += 1
        elif score == own:
            ahead += ties == "strict" or (ties == "index" and index < label)
    return ahead


@st.composite
def tied_scores(draw, special=False):
    """Integer scores from few values, so that most rows have ties, and labels."""
    rows, classes = draw(st.integers(1, 12)), draw(st.integers(1, 9))
    values = [-2.0, -1.0, 0.0, 1.0, 2.0] + [math.nan, math.inf, -math.inf] * special
    numbers = st.lists(st.sampled_from(values), min_size=rows * classes, max_size=rows * classes)
    scores = torch.tensor(draw(numbers)).view(rows, classes)
    target = torch.tensor(draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows)))
    return scores, target


@pytest.fixture(params=["rows", "all"])
def way(request, monkeypatch):
    """Both ways of looking for ties: in the rows that matter, and in all; the blocks hold 24 elements here."""
    monkeypatch.setattr(_target_ranks, "_SMALL", 0 if request.param == "rows" else 10**9)
    monkeypatch.setattr(_target_ranks, "CPU_BLOCK", 24)
    return request.param


def test_worked_example_has_exactly_one_hit_in_the_top_2():
    assert in_topk(WORKED_SCORES, WORKED_TARGET, k=2).tolist() == [True, False, False]
    assert target_rank(WORKED_SCORES, WORKED_TARGET).tolist() == [0, 2, 3]


@given(case=tied_scores(), dtype=st.sampled_from(FLOATS), integer=st.sampled_from(INTEGERS))
@settings(deadline=None, max_examples=200)
def test_rank_is_the_position_in_a_stable_sort(case, dtype, integer):
    scores, target = case
    assert torch.equal(target_rank(scores.to(dtype), target.to(integer)), rank_by_sort(scores, target))


@given(case=tied_scores())
@settings(deadline=None, max_examples=100)
def test_integer_scores_rank_like_floats(case):
    scores, target = case
    assert torch.equal(target_rank(scores.to(torch.int32), target), rank_by_sort(scores, target))


@pytest.mark.parametrize("ties", ["index", "strict", "optimistic"])
def test_rank_follows_the_rule_with_nan_and_infinities(way, ties):
    @given(case=tied_scores(special=True))
    @settings(deadline=None, max_examples=150)
    def check(case):
        scores, target = case
        expected = [rank_by_loop(row, label, ties) for row, label in zip(scores.tolist(), target.tolist(), strict=True)]
        assert count_ahead(scores, target, ties=ties).tolist() == expected

    check()


@given(case=tied_scores(special=True), k=st.integers(1, 9))
@settings(deadline=None, max_examples=200)
def test_topk_indices_are_a_stable_sort_with_nan_first(case, k):
    scores, _target = case
    k = min(k, scores.shape[1])
    expected = scores.sort(dim=1, descending=True, stable=True).indices[:, :k]
    assert torch.equal(topk_indices(scores, k), expected)


REAL = (*FLOATS, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@given(case=tied_scores(special=True), k=st.integers(1, 9), dtype=st.sampled_from(REAL))
@settings(deadline=None, max_examples=200)
def test_topk_without_sorting_is_a_stable_sort_with_nan_first(case, k, dtype):
    scores = case[0].nan_to_num(3.0, 4.0, 0.0).abs().to(dtype) if not dtype.is_floating_point else case[0].to(dtype)
    k = min(k, scores.shape[1])
    expected = scores.sort(dim=1, descending=True, stable=True).indices[:, :k]
    assert torch.equal(_topk_of_keys(scores, k), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_topk_without_sorting_tells_denormals_zeros_and_nans_apart_as_a_sort_does(dtype):
    generator = torch.Generator().manual_seed(0)
    half = torch.rand(200, 30, generator=generator) < 0.5
    tiny = torch.randn(200, 30, generator=generator, dtype=dtype) * torch.finfo(dtype).tiny / 8
    for scores in (tiny, torch.where(half, -0.0, 0.0).to(dtype), -torch.full((3, 30), torch.nan, dtype=dtype)):
        expected = scores.sort(dim=1, descending=True, stable=True).indices[:, :7]
        assert torch.equal(_topk_of_keys(scores, 7), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_compiled_topk_sorts_no_row_of_all_classes(dtype):
    torch._dynamo.reset()
    sorted_sizes = []

    def record(graph, inputs):
        sorted_sizes.extend(
            node.args[0].meta["example_value"].shape[-1] for node in graph.graph.nodes if node.target == "sort"
        )
        return graph

    scores = torch.randint(0, 9, (20, 300), generator=torch.Generator().manual_seed(0)).to(dtype)
    compiled = torch.compile(lambda s: topk_indices(s, 5), fullgraph=True, backend=record)
    assert torch.equal(compiled(scores), topk_indices(scores, 5))
    assert all(size <= 5 for size in sorted_sizes)


@given(case=tied_scores(), k=st.integers(1, 9))
@settings(deadline=None, max_examples=100)
def test_in_topk_counts_exactly_the_classes_that_topk_indices_shows(case, k):
    scores, target = case
    k = min(k, scores.shape[1])
    shown = (topk_indices(scores, k) == target.unsqueeze(1)).any(1)
    assert torch.equal(in_topk(scores, target, k), shown)


def test_top_1_is_argmax():
    scores = torch.randint(0, 3, (500, 20), generator=torch.Generator().manual_seed(0)).float()
    assert torch.equal(topk_indices(scores, 1).squeeze(1), scores.argmax(1))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(700, 100), (3, 5000), (40, 7, 300), (6, 50, 11, 13), (1, 30, 90, 90)])
def test_blocks_agree_with_the_plain_formula(dtype, shape):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(-20, 20, shape, generator=generator).to(dtype)
    target = torch.randint(shape[1], shape[:1] + shape[2:], generator=generator)
    scores[0].fill_(math.nan)
    for ties in ("index", "strict", "optimistic"):
        fast = count_ahead(scores, target, ties=ties)
        assert torch.equal(fast, _target_ranks.count_plainly(scores, target, 1, ties))


LAYOUTS = {
    "columns in order": lambda scores: scores.t().contiguous().t(),
    "every second column": lambda scores: scores.repeat_interleave(2, 1)[:, ::2],
    "rows of a larger table": lambda scores: torch.cat([scores, scores], 1)[:, : scores.shape[1]],
    "backwards rows": lambda scores: scores.flip(0).flip(0),
    "one row again and again": lambda scores: scores[:1].expand(len(scores), -1),
}


@pytest.mark.parametrize("values", [1, 7, 10**6])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
def test_the_rank_does_not_depend_on_how_scores_lie_in_memory(way, layout, values, dtype):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(values, (90, 200), generator=generator).to(dtype)
    target = torch.randint(200, (90,), generator=generator)
    laid = LAYOUTS[layout](scores)
    assert laid.shape == scores.shape
    for ties in ("index", "strict", "optimistic"):
        expected = _target_ranks.count_plainly(laid.clone(memory_format=torch.contiguous_format), target, 1, ties)
        assert torch.equal(count_ahead(laid, target, ties=ties), expected)
        cut = count_ahead(laid, target, ties=ties, below=3)
        assert torch.equal(cut.clamp(max=3), expected.clamp(max=3))


def test_rank_below_is_exact_below_and_not_below_above():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 5, (300, 40), generator=generator).float()
    target = torch.randint(40, (300,), generator=generator)
    rank, cut = count_ahead(scores, target), count_ahead(scores, target, below=6)
    assert torch.equal(rank.clamp(max=6), cut.clamp(max=6))


@pytest.mark.parametrize(("class_dim", "dims"), [(1, (0, 2, 1)), (-1, (0, 1, 2)), (2, (0, 1, 2))])
def test_class_dim_says_where_the_classes_stand(class_dim, dims):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 9, (16, 55, 12), generator=generator).float()
    target = torch.randint(12, (16, 55), generator=generator)
    flat = target_rank(scores.reshape(-1, 12), target.reshape(-1)).view(16, 55)
    assert torch.equal(target_rank(scores.permute(dims), target, class_dim=class_dim), flat)
    _, tied = count_ahead_and_tied(scores.permute(dims), target, class_dim=class_dim)
    assert torch.equal(tied, (scores == scores.gather(2, target.unsqueeze(2))).sum(2))
    best = topk_indices(scores.permute(dims), 3, class_dim=class_dim)
    assert torch.equal(best.permute(dims).reshape(-1, 3), topk_indices(scores.reshape(-1, 12), 3))


def test_ties_are_counted_with_the_target_itself():
    ahead, tied = count_ahead_and_tied(WORKED_SCORES, WORKED_TARGET)
    assert ahead.tolist() == [0, 2, 0]
    assert tied.tolist() == [1, 1, 4]


def test_nan_target_is_a_miss_even_at_k_equal_to_c():
    scores = torch.tensor([[1.0, math.nan, 0.0]])
    assert in_topk(scores, torch.tensor([1]), k=3).tolist() == [False]
    assert target_rank(scores, torch.tensor([0])).tolist() == [1]
    assert topk_indices(scores, 3).tolist() == [[1, 0, 2]]


def test_zero_rows_give_zero_ranks():
    for scores in (torch.zeros(0, 4), torch.zeros(0, 4, 2), torch.zeros(0, 5000)):
        target = torch.zeros(scores.shape[:1] + scores.shape[2:], dtype=torch.long)
        assert target_rank(scores, target).shape == target.shape
        assert topk_indices(scores, 2).shape == (0, 2, *scores.shape[2:])


def test_gradients_do_not_flow_and_inputs_stay():
    scores = WORKED_SCORES.clone().requires_grad_()
    assert not target_rank(scores, WORKED_TARGET).requires_grad
    assert torch.equal(scores, WORKED_SCORES)


@pytest.mark.parametrize("function", [target_rank, lambda s, t: in_topk(s, t, 2), lambda s, t: topk_indices(s, 2)])
def test_compiles_to_one_graph(function):
    torch._dynamo.reset()
    compiled = torch.compile(function, fullgraph=True, backend="eager")
    assert torch.equal(compiled(WORKED_SCORES, WORKED_TARGET), function(WORKED_SCORES, WORKED_TARGET))


SENTENCES = [
    (
        lambda: in_topk(WORKED_SCORES, WORKED_TARGET, k=5),
        "k must be at most the number of classes (4), got 5. Use a smaller k.",
    ),
    (
        lambda: target_rank(torch.zeros(32, 10), torch.zeros(32, 1, dtype=torch.long)),
        "target must have shape (32,) to match preds of shape (32, 10), got (32, 1). Did you mean target.squeeze(1)?",
    ),
    (
        lambda: target_rank(torch.zeros(10, 32), torch.zeros(32, dtype=torch.long)),
        "target must have shape (10,) to match preds of shape (10, 32), got (32,). Did you mean preds.T?",
    ),
    (
        lambda: target_rank(torch.zeros(32, 10).topk(5, dim=0).values, torch.zeros(32, dtype=torch.long)),
        "target must have shape (5,) to match preds of shape (5, 10), got (32,). "
        "Pass one row of scores for each sample, before any topk, as preds.",
    ),
    (
        lambda: target_rank(torch.zeros(8, dtype=torch.long), torch.zeros(8, 1, dtype=torch.long)),
        "preds must have shape (N, C) or (N, C, d1, …), got (8,). "
        "Pass the scores of all classes, not the predicted labels.",
    ),
    (
        lambda: topk_indices(torch.zeros(8), 2),
        "preds must have shape (N, C) or (N, C, d1, …), got (8,). Did you mean preds.unsqueeze(0)?",
    ),
    (
        lambda: topk_indices(torch.zeros(8, 4), 2, class_dim=0),
        "class_dim must be a dimension of 2 that is not the batch (dimension 0), got 0. "
        "The scores of one sample stand along class_dim: 1 for (N, C), -1 for (N, T, C).",
    ),
    (
        lambda: target_rank(torch.zeros(16, 55, 7), torch.zeros(16, 55, dtype=torch.long)),
        "target must have shape (16, 7) to match preds of shape (16, 55, 7), got (16, 55). Did you mean class_dim=-1?",
    ),
    (
        lambda: target_rank(WORKED_SCORES, torch.tensor([1, 2, 4])),
        "target must hold class indices in [0, 4), got 4. Class indices start at 0.",
    ),
    (
        lambda: target_rank(WORKED_SCORES, torch.tensor([1, 2, -1])),
        "target must hold class indices in [0, 4), got -1. Did you mean ignore_index=-1?",
    ),
    (
        lambda: target_rank(WORKED_SCORES, WORKED_TARGET, ties="first"),
        "ties must be one of 'index', 'strict', 'optimistic', got 'first'.",
    ),
]


@pytest.mark.parametrize(("call", "sentence"), SENTENCES)
def test_wrong_values_get_one_sentence(call, sentence):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        call()
    assert str(error.value) == sentence


def test_wrong_types_get_one_sentence():
    with pytest.raises(TypeError) as error:
        target_rank(WORKED_SCORES, WORKED_TARGET.float())
    assert str(error.value) == "target must be of an integer dtype, got torch.float32. Did you mean target.long()?"
    with pytest.raises(TypeError) as error:
        target_rank([[0.1, 0.9]], torch.tensor([1]))
    assert str(error.value) == "preds must be a torch.Tensor, got list. Convert it with torch.as_tensor."


def test_in_topk_looks_along_the_class_dimension():
    scores = torch.tensor([[[0.1, 0.9, 0.0], [0.5, 0.2, 0.3]]])  # (N, T, C): classes stand last
    target = torch.tensor([[1, 2]])
    assert in_topk(scores, target, k=1, class_dim=-1).tolist() == [[True, False]]
    assert in_topk(scores, target, k=2, class_dim=-1).tolist() == [[True, True]]


def test_a_float_target_of_the_shape_of_the_scores_is_no_class():
    with pytest.raises(TypeError) as raised:
        target_rank(torch.zeros(2, 3), torch.full((2, 3), 1 / 3))
    wanted = "target must hold class indices of an integer dtype, got a float tensor of the shape of preds."
    assert str(raised.value) == wanted


@pytest.mark.parametrize("kind", ["in order", "every 2nd column", "all tied", "by columns", "bfloat16"])
def test_counting_up_to_rank_5_holds_at_most_three_tenths_of_256_rows_of_1000_scores(kind):
    scores = torch.randn(256, 1000, generator=torch.Generator().manual_seed(0))
    if kind == "every 2nd column":
        scores = scores.repeat_interleave(2, 1)[:, ::2]
    elif kind == "all tied":
        scores = torch.ones(256, 1000)
    elif kind == "by columns":
        scores = scores.t().contiguous().t()
    elif kind == "bfloat16":
        scores = scores.bfloat16()
    target = torch.arange(256)
    assert peak_extra_bytes(lambda: count_ahead(scores, target, below=6)) <= 0.3 * scores.numel() * scores.itemsize


@pytest.mark.parametrize(("rows", "classes"), [(5000, 9), (4097, 40), (9000, 300)])
@pytest.mark.parametrize("ties", ["index", "strict", "optimistic"])
def test_many_rows_whose_columns_lie_in_order_are_counted_in_parts(rows, classes, ties):
    generator = torch.Generator().manual_seed(rows)
    scores = torch.randint(classes, (classes, rows), generator=generator).float()
    scores[0, :7] = torch.nan
    target = torch.randint(classes, (rows,), generator=generator)
    found = target_rank(scores.t(), target, ties=ties)
    assert torch.equal(found, count_plainly(scores.t(), target, 1, ties))


@pytest.mark.parametrize("classes", [*range(1, 6), 15, 16, 17])
def test_ties_of_few_classes_are_put_in_order(classes):
    generator = torch.Generator().manual_seed(classes)
    scores = torch.randint(3, (200, classes), generator=generator).float()
    scores[::9, 0], scores[1::9] = torch.nan, torch.inf
    target = torch.randint(classes, (200,), generator=generator)
    assert torch.equal(target_rank(scores, target), count_plainly(scores, target, 1, "index"))
