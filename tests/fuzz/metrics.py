"""Metrics against loops, over any scores, ties, dtypes and batches."""

from __future__ import annotations

import math
from fractions import Fraction

import hypothesis.strategies as st
import torch
from hypothesis import given

from topk_lightning import TopKAccuracy
from topk_lightning.ranking import target_rank, topk_indices

NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 2.0, -1.0, math.nan, math.inf, -math.inf, 1e-40, 3e38]),
    st.floats(width=16),
    st.floats(width=32),
)


@st.composite
def batches(draw):
    """Scores (N, C) with many ties or none, labels, and where the batches are cut."""
    rows, classes = draw(st.integers(1, 20)), draw(st.integers(2, 12))
    values = draw(st.lists(NUMBERS, min_size=1, max_size=40))
    picks = draw(st.lists(st.integers(0, len(values) - 1), min_size=rows * classes, max_size=rows * classes))
    dtype = draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]))
    scores = torch.tensor([values[pick] for pick in picks], dtype=torch.float64).view(rows, classes).to(dtype)
    labels = st.lists(st.integers(-1, classes - 1), min_size=rows, max_size=rows)
    return scores, torch.tensor(draw(labels)), draw(st.integers(1, rows)), draw(st.integers(1, classes))


def credit(row, label, k, ties):
    """What a row counts, by a loop over its classes."""
    own = row[label]
    if math.isnan(own):
        return Fraction(0)
    ahead = sum(math.isnan(score) or score > own for score in row)
    tied = sum(score == own for score in row)
    lower = sum(score == own for score in row[:label])
    if ties == "expected":
        return min(max(Fraction(k - ahead, tied), Fraction(0)), Fraction(1))
    before = {"index": lower, "strict": tied - 1, "optimistic": 0}[ties]
    return Fraction(int(ahead + before < k))


@given(case=batches(), ties=st.sampled_from(["index", "strict", "optimistic", "expected"]))
def every_accuracy_is_that_of_a_loop_over_the_rows_that_count(case, ties):
    scores, target, cut, k = case
    metric = TopKAccuracy(k, ties=ties, ignore_index=-1)
    for part in (slice(0, cut), slice(cut, None)):
        metric.update(scores[part], target[part])
    counted = [
        credit(row, label, k, ties) for row, label in zip(scores.tolist(), target.tolist(), strict=True) if label >= 0
    ]
    if not counted:
        metric_value = metric.compute() if metric.update_called else torch.tensor(math.nan)
        assert metric_value.isnan()
        return
    expected = float(sum(counted) / len(counted))
    assert math.isclose(metric.compute().item(), expected, rel_tol=1e-6, abs_tol=1e-7)


@given(case=batches())
def every_rank_is_the_place_in_a_stable_sort(case):
    scores, target, _, k = case
    kept = target >= 0
    scores, target = scores[kept], target[kept]
    if len(target):
        order = scores.double().sort(dim=1, descending=True, stable=True).indices
        assert torch.equal(topk_indices(scores, k), order[:, :k])
        own = scores.gather(1, target[:, None])[:, 0]
        place = (order == target[:, None]).long().argmax(1).masked_fill(own.isnan(), scores.shape[1])
        assert torch.equal(target_rank(scores, target), place)
