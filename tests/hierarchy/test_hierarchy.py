"""Groups of classes: the mathematics against loops, and the places where groups are written down."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from topk_lightning.hierarchy import Hierarchy, coarsen_logits, coarsen_target
from topk_lightning.ranking import topk_indices

INF = math.inf


SCORES = st.floats(-50, 50)


@st.composite
def grouped_scores(draw, scores=SCORES):
    """A hierarchy without an empty group, and logits (N, C)."""
    count = draw(st.integers(1, 4))
    rest = draw(st.lists(st.integers(0, count - 1), max_size=6))
    groups = draw(st.permutations([*range(count), *rest]))
    rows = draw(st.lists(st.lists(scores, min_size=len(groups), max_size=len(groups)), min_size=1, max_size=4))
    return groups, torch.tensor(rows, dtype=torch.float64)


def group_probabilities(logits, groups):
    """Sums of a softmax, written as loops."""
    rows = []
    for row in logits.tolist():
        best = max(row)
        weights = [math.exp(score - best) for score in row]
        rows.append([sum(w for w, g in zip(weights, groups, strict=True) if g == group) / sum(weights)
                     for group in range(max(groups) + 1)])  # fmt: skip
    return torch.tensor(rows, dtype=torch.float64)


@given(grouped_scores())
@settings(max_examples=60)
def test_the_softmax_of_coarse_logits_sums_the_probabilities_of_each_group(case):
    groups, logits = case
    torch.testing.assert_close(coarsen_logits(logits, groups).softmax(1), group_probabilities(logits, groups))


@given(grouped_scores(), st.floats(-1e4, 1e4))
@settings(max_examples=30)
def test_a_constant_added_to_all_logits_is_added_to_all_groups(case, shift):
    groups, logits = case
    torch.testing.assert_close(
        coarsen_logits(logits + shift, groups), coarsen_logits(logits, groups) + shift, rtol=1e-9, atol=1e-9
    )


@given(grouped_scores(st.floats(-50, 50) | st.just(-INF)))
@settings(max_examples=60)
def test_the_gradient_is_the_softmax_within_the_group_also_beside_masked_classes(case):
    groups, logits = case
    logits.requires_grad_()
    coarse = coarsen_logits(logits, groups)
    coarse[coarse > -INF].sum().backward()
    for row, scores in enumerate(logits.tolist()):
        for column, score in enumerate(scores):
            own = [s for s, g in zip(scores, groups, strict=True) if g == groups[column]]
            best = max(own)
            share = 0 if best == -INF else math.exp(score - best) / sum(math.exp(s - best) for s in own)
            assert logits.grad[row, column].item() == pytest.approx(share, abs=1e-12)


@given(grouped_scores())
@settings(max_examples=30)
def test_one_class_a_group_changes_nothing_and_one_group_is_logsumexp(case):
    _, logits = case
    torch.testing.assert_close(coarsen_logits(logits, range(logits.shape[1])), logits)
    torch.testing.assert_close(coarsen_logits(logits, [0] * logits.shape[1]), logits.logsumexp(1, keepdim=True))


@given(grouped_scores(st.floats(0.125, 1)))
@settings(max_examples=30)
def test_soft_targets_are_summed_and_one_hot_ones_agree_with_labels(case):
    groups, mass = case
    target = mass / mass.sum(1, keepdim=True)
    coarse = coarsen_target(target, groups)
    for group in range(max(groups) + 1):
        expected = sum(target[:, c] for c, g in enumerate(groups) if g == group)
        torch.testing.assert_close(coarse[:, group], expected)
    labels = topk_indices(mass, 1).squeeze(1)
    hot = torch.nn.functional.one_hot(labels, len(groups)).double()
    torch.testing.assert_close(topk_indices(coarsen_target(hot, groups), 1).squeeze(1), coarsen_target(labels, groups))


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e4, 3e38])
def test_extreme_scales_stay_finite(scale):
    logits = torch.tensor([[1.0, -1.0, 1.0, -1.0]]).mul(scale).requires_grad_()
    coarse = coarsen_logits(logits, [0, 0, 1, 1])
    coarse.sum().backward()
    assert coarse.isfinite().all()
    assert logits.grad.isfinite().all()


def test_infinities_and_nan_stay_in_their_group():
    logits = torch.tensor([[-INF, -INF, 2.0], [INF, 0.0, 2.0], [math.nan, 0.0, 2.0]])
    coarse = coarsen_logits(logits, [0, 0, 1])
    assert coarse[0].tolist() == [-INF, 2.0]
    assert coarse[1].tolist() == [INF, 2.0]
    assert coarse[2, 0].isnan()
    assert coarse[2, 1] == 2


def test_gradcheck():
    logits = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: coarsen_logits(x, [0, 1, 1, 0, 2]), logits)


def test_half_precision_is_summed_in_float32_also_under_autocast():
    logits = torch.randn(4, 300).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        coarse = coarsen_logits(logits, [0] * 150 + [1] * 150)
    assert coarse.dtype == torch.float32
    expected = torch.stack([logits[:, :150].double().logsumexp(1), logits[:, 150:].double().logsumexp(1)], 1)
    torch.testing.assert_close(coarse.double(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("shape", "class_dim"), [((2, 4, 3, 5), 1), ((2, 3, 4), -1), ((2, 3, 4), 2), ((0, 4), 1)])
def test_the_class_dimension_may_stand_anywhere(shape, class_dim):
    logits, groups = torch.randn(shape), [1, 0, 1, 2]
    moved = logits.movedim(class_dim, -1)
    expected = coarsen_logits(moved.reshape(-1, 4), groups).reshape(*moved.shape[:-1], 3).movedim(-1, class_dim)
    torch.testing.assert_close(coarsen_logits(logits, groups, class_dim=class_dim), expected)
    soft = logits.softmax(class_dim)
    expected = coarsen_target(soft.movedim(class_dim, -1).reshape(-1, 4), groups)
    expected = expected.reshape(*moved.shape[:-1], 3).movedim(-1, class_dim)
    torch.testing.assert_close(coarsen_target(soft, groups, class_dim=class_dim), expected)


def test_labels_of_any_integer_dtype_and_ignored_ones():
    target = torch.tensor([[0, 3], [255, 2]], dtype=torch.uint8)
    assert coarsen_target(target, [2, 0, 1, 1], ignore_index=255).tolist() == [[2, 1], [255, 1]]
    assert coarsen_target(target.long(), [2, 0, 1, 1], ignore_index=255).dtype == torch.int64
    with pytest.raises(ValueError, match="target must hold class indices") as raised:
        coarsen_target(target, [2, 0, 1, 1])
    assert str(raised.value) == "target must hold class indices in [0, 4), got 255. Class indices start at 0."


def test_inputs_are_not_changed_and_compiled_graphs_agree():
    logits, target = torch.randn(3, 4), torch.tensor([0, 3, 1])
    before = logits.clone()
    groups = torch.tensor([0, 1, 1, 0])
    compiled = torch.compile(lambda x: coarsen_logits(x, groups, 2), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(logits), coarsen_logits(logits, groups))
    coarsen_target(target, groups)
    assert torch.equal(logits, before)
    assert target.tolist() == [0, 3, 1]


NAMES = {"boston": "terrier", "airedale": "terrier", "beagle": "hound"}


def test_a_dict_of_names_follows_the_class_names():
    assert Hierarchy.of(NAMES) == Hierarchy((1, 1, 0), ("hound", "terrier"), ("boston", "airedale", "beagle"))
    ordered = Hierarchy.of(NAMES, ["airedale", "beagle", "boston"])
    assert ordered.groups == (1, 0, 1)
    assert ordered.num_groups == 2
    assert Hierarchy.of(NAMES, ["beagle"]) == Hierarchy((0,), ("hound",), ("beagle",))
    assert Hierarchy.of(ordered) is ordered


def test_indices_are_taken_as_they_are():
    assert Hierarchy.of([1, 0, 1]).groups == (1, 0, 1)
    assert Hierarchy.of({2: 0, 0: 1, 1: 0}).groups == (1, 0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "boston,terrier\nairedale,terrier\nbeagle,hound\n",
        "fine,coarse\nboston,terrier\nairedale,terrier\n\nbeagle,hound\n",
        "\ufefffine,images,coarse\nboston,3,terrier\nairedale,4,terrier\nbeagle,5,hound\n",
        'boston,"terrier"\r\nairedale,terrier\r\nbeagle,hound\r\n',
    ],
)
def test_a_csv_file(tmp_path, text):
    path = tmp_path / "breeds.csv"
    path.write_text(text, encoding="utf-8")
    assert Hierarchy.of(str(path)) == Hierarchy.of(NAMES)


def test_a_tree_of_folders(tmp_path):
    for fine, coarse in NAMES.items():
        (tmp_path / coarse / fine).mkdir(parents=True)
        (tmp_path / coarse / fine / "1.png").touch()
    (tmp_path / "hound" / "readme.txt").touch()
    (tmp_path / "hound" / ".cache").mkdir()
    assert Hierarchy.of(tmp_path) == Hierarchy((1, 0, 1), ("hound", "terrier"), ("airedale", "beagle", "boston"))
    assert Hierarchy.of(tmp_path, ["boston", "beagle"]).groups == (1, 0)


def error(call, kind=ValueError):
    with pytest.raises(kind) as raised:
        call()
    return str(raised.value)


def test_errors_of_groups():
    logits = torch.zeros(2, 4)
    assert error(lambda: coarsen_logits(logits, [0, 0, 2, 2])) == (
        "fine_to_coarse must give every group from 0 to 2 a class, got none for 1. Number the groups from 0 without a gap."
    )
    assert error(lambda: coarsen_logits(logits, [0, 0, 1])) == (
        "fine_to_coarse must name a group for each of the 4 classes of the logits, got 3."
    )
    assert error(lambda: coarsen_logits(logits, [0, 0, 1, -1])) == (
        "each group of fine_to_coarse must be at least 0, got -1."
    )
    assert error(lambda: coarsen_logits(logits, torch.tensor([0, 0, 1, 2]), 2)) == (
        "fine_to_coarse must hold group indices in [0, 2), got 2."
    )
    assert error(lambda: coarsen_logits(logits, torch.zeros(4)), TypeError) == (
        "fine_to_coarse must hold group indices, integers, got torch.float32."
    )
    assert error(lambda: Hierarchy.of([])) == "fine_to_coarse must have shape (C,), one group index a class, got (0,)."
    assert error(lambda: Hierarchy.of([0.0, 1.0]), TypeError) == (
        "each group of fine_to_coarse must be an integer, got 0.0 of type float."
    )
    assert error(lambda: Hierarchy.of({1: 0})) == (
        "fine_to_coarse must name a group for each class, got none for '0'. It names 1."
    )
    assert error(lambda: Hierarchy.of(3), TypeError) == (
        "fine_to_coarse must be a list of group indices, a dict {class: group}, a csv file or a folder of folders, got int."
    )


def test_errors_of_names_and_files(tmp_path):
    assert error(lambda: Hierarchy.of(NAMES, ["boston", "husky"])) == (
        "fine_to_coarse must name a group for each class, got none for 'husky'. It names 'boston', 'airedale', 'beagle'."
    )
    assert error(lambda: Hierarchy.of("nowhere.csv"), FileNotFoundError) == (
        "fine_to_coarse must be an existing csv file or folder, got 'nowhere.csv'."
    )
    path = tmp_path / "breeds.csv"
    path.write_text("boston,terrier\nbeagle\n")
    assert error(lambda: Hierarchy.of(path)) == (
        f"line 2 of {path} must name a class and its group, got 'beagle'. "
        "Write a line class,group for each class, or columns with the headings fine and coarse."
    )
    path.write_text("")
    assert error(lambda: Hierarchy.of(path, ["boston"])) == (
        "fine_to_coarse must name a group for each class, got none for 'boston'. It names no class."
    )
    path.write_text("boston,terrier\nboston,hound\n")
    assert error(lambda: Hierarchy.of(path)) == (
        "fine_to_coarse must put class 'boston' into one group, got 'hound' and 'terrier'."
    )
    (tmp_path / "empty").mkdir()
    assert error(lambda: Hierarchy.of(tmp_path / "empty")) == (
        f"fine_to_coarse must hold folders of groups, which hold a folder for each class, got {str(tmp_path / 'empty')!r}. "
        "The tree is root/group/class, such as root/terrier/boston."
    )
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"\x89PNG\r\n\x00\xff")
    assert (
        error(lambda: Hierarchy.of(photo)) == f"fine_to_coarse must be a csv file, text in UTF-8, got {str(photo)!r}."
    )


def test_two_classes_of_one_name_are_refused_where_groups_are_given_by_name():
    names = ["cat", "crane", "dog", "crane"]
    assert error(lambda: Hierarchy.of({"cat": "animal", "crane": "machine", "dog": "animal"}, names)) == (
        "class_names must name each class differently, got 'crane' for 1 and 3."
    )
    assert Hierarchy.of([0, 0, 0, 1], names).groups == (0, 0, 0, 1)
    assert Hierarchy.of({0: 0, 1: 0, 2: 0, 3: 1}, names).fine_names == ("cat", "crane", "dog", "crane")


def test_no_error_prints_a_whole_container(tmp_path):
    (tmp_path / "wide.csv").write_text("a," + "b" * 50_000 + ",c\n")
    thousand = {f"class {index}": "group" for index in range(1000)}
    for call in (
        lambda: Hierarchy.of(thousand, ["x" * 5_000] * 2),
        lambda: Hierarchy.of(thousand, [f"other {index}" * 100 for index in range(1000)]),
        lambda: Hierarchy.of({index + 1: 0 for index in range(1000)}),
        lambda: Hierarchy.of(tmp_path / "wide.csv"),
    ):
        assert len(error(call)) < 1_000


def test_groups_without_names_are_called_by_their_number():
    assert Hierarchy.of([0, 1, 1]).group_names == ("group 0", "group 1")
    assert Hierarchy.of({"a": "x", "b": "y"}).group_names == ("x", "y")
