"""Scores in files: every number comes back as it was, large ones stay on the disk, and what is no file of scores is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from topk_lightning._checks import UserError
from topk_lightning.ranking import target_rank
from topk_lightning.scores import Scores, read_scores, write_scores

NAMES = ["ant", "=bee", "cat, big", "dög"]


def made(dtype=torch.float32, rows=20, **options):
    values = torch.randn(rows, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    values[1, 2], values[2, 1] = torch.nan, -torch.inf
    ids = [f"pictures/{row}\n.png" for row in range(rows)]
    target = torch.arange(rows) % 4
    options = {"class_names": NAMES, "ids": ids, "sample_weight": torch.arange(rows) / 4, **options}
    return Scores(values, target, kind="logits", **options)


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_file_holds_every_bit(tmp_path, suffix, dtype):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    scores = made(dtype)
    assert write_scores(scores, tmp_path / f"scores{suffix}") == 0
    read = read_scores(tmp_path / f"scores{suffix}")
    assert read.values.dtype == dtype
    torch.testing.assert_close(read.values, scores.values, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(read.target, scores.target)
    assert torch.equal(read.sample_weight, scores.sample_weight)
    assert (read.kind, read.class_names, read.ids) == ("logits", NAMES, scores.ids)


def test_the_best_classes_of_a_csv_file_answer_as_all_scores_do(tmp_path):
    scores = made()
    write_scores(scores, tmp_path / "best.csv", k=2)
    read = read_scores(tmp_path / "best.csv", class_names=NAMES)
    for k in (1, 2):
        finite = torch.arange(20) != 1  # NaN stands first: no hit at k = 1, whatever the table says
        assert torch.equal(read.hits(k)[finite], scores.hits(k)[finite])
    assert read.ids == scores.ids
    again = tmp_path / "again.csv"
    write_scores(read, again, k=2)
    assert again.read_bytes() == (tmp_path / "best.csv").read_bytes()


def test_predictions_of_the_writer_are_scores_once_their_classes_are_given(tmp_path):
    (tmp_path / "p.csv").write_text(
        "image,rank,class,probability\na.png,1,cat,0.5\na.png,2,dog,0.3\nb.png,1,dog,0.9\nb.png,2,cat,0.1\n"
    )
    (tmp_path / "right.csv").write_text("image,class\nb.png,cat\na.png,cat\n")
    scores = read_scores(tmp_path / "p.csv", target=tmp_path / "right.csv")
    assert scores.kind == "probabilities"
    assert (scores.hits(1).tolist(), scores.hits(2).tolist()) == ([True, False], [True, True])


@pytest.mark.parametrize("order", ["C", "F"])
def test_large_arrays_stay_on_the_disk(tmp_path, order):
    values = np.asarray(np.random.default_rng(0).normal(size=(3000, 250)), np.float16, order=order)
    target = np.arange(3000) % 250
    np.savez(tmp_path / "s.npz", class_names=np.array([f"name {i}" for i in range(250)]), logits=values, target=target)
    np.save(tmp_path / "values.npy", values)
    np.save(tmp_path / "target.npy", target)
    of_npz = read_scores(tmp_path / "s.npz")
    of_npy = read_scores(tmp_path / "values.npy", kind="logits", target=tmp_path / "target.npy")
    expected = target_rank(torch.from_numpy(values), torch.from_numpy(target))
    for scores in (of_npz, of_npy):
        assert torch.equal(scores.target_ranks(), expected)
    if Path("/proc/self/maps").exists():
        maps = Path("/proc/self/maps").read_text()
        assert all(f"{tmp_path}/{name}" in maps for name in ("s.npz", "values.npy"))


def test_numbers_that_lie_anywhere_are_read_right(tmp_path):
    values = np.random.default_rng(0).normal(size=(2000, 100))
    for first in ("a", "ab", "abc", "abcd", "abcde"):  # the length of a name moves what follows
        np.savez(tmp_path / "s.npz", class_names=np.array([first * (i + 1) for i in range(100)]), logits=values)
        read = torch.cat([block.values for block in read_scores(tmp_path / "s.npz").blocks()])
        assert torch.equal(read, torch.from_numpy(values))


def test_compressed_archives_are_read_whole(tmp_path):
    values = np.zeros((2000, 300), np.float32)
    np.savez_compressed(tmp_path / "s.npz", probabilities=values + 1 / 300, target=np.zeros(2000, int))
    assert read_scores(tmp_path / "s.npz").kind == "probabilities"


def test_float16_says_how_many_ranks_changed(tmp_path):
    values = torch.tensor([[1.0, 1.0001, 0.0], [2.0, 1.0, 0.0], [0.0, 5.0, 5.0001], [1.0, 2.0, 3.0]])
    scores = Scores(values, [1, 0, 2, 0], kind="logits")
    # As float16 the first and third row tie: the lower index comes first, the target is second.
    for suffix in (".npz", ".parquet"):
        assert write_scores(scores, tmp_path / f"s{suffix}", dtype=torch.float16) == 2 / 4
        assert read_scores(tmp_path / f"s{suffix}").target_ranks().tolist() == [1, 0, 1, 2]
    scores.values[0, 0] = 70000
    with pytest.raises(ValueError, match=r"^scores must lie within ±65504 to be written in float16, got 70000\. Write"):
        write_scores(scores, tmp_path / "s.npz", dtype=torch.float16)


def test_lists_beside_the_values_are_files_of_many_kinds(tmp_path):
    np.save(tmp_path / "v.npy", np.eye(3, dtype=np.float32))
    (tmp_path / "names.txt").write_text("ant\nbee\ncat\n")
    (tmp_path / "target.txt").write_text("cat\nbee\nant\n")
    (tmp_path / "indices.txt").write_text("2\n1\n0\n")
    (tmp_path / "names.json").write_text(json.dumps({"ant": 0, "bee": 1, "cat": 2}))
    (tmp_path / "weights.txt").write_text("1\n0.5\n2\n")
    for names, target in (("names.txt", "target.txt"), ("names.json", "indices.txt")):
        scores = read_scores(
            tmp_path / "v.npy",
            kind="logits",
            class_names=tmp_path / names,
            target=tmp_path / target,
            sample_weight=tmp_path / "weights.txt",
        )
        assert scores.target.tolist() == [2, 1, 0]
        assert scores.class_names == ["ant", "bee", "cat"]
        assert scores.sample_weight.tolist() == [1, 0.5, 2]


def archive(path, **arrays):
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("make", "options", "sentence"),
    [
        (lambda p: None, {}, "scores must be an existing file, got '{path}'."),
        (lambda p: p.write_bytes(b"PK\x03\x04junk"), {}, "scores must be an undamaged .npy or .npz file of numbers and texts, got '{path}'. Python objects in it are not read."),
        (lambda p: archive(p, logits=np.array([[None]])), {}, "scores must be an undamaged .npy or .npz file of numbers and texts, got '{path}'. Python objects in it are not read."),
        (lambda p: archive(p, a=np.eye(2)), {}, "scores must hold an array \"logits\" or one \"probabilities\", got ['a']. Write it with numpy.savez(file, logits=…, target=…), or probabilities=…."),
        (lambda p: archive(p, logits=np.eye(2), x=1), {}, "scores must hold no arrays but logits, target, class_names, ids, sample_weight, best, dtype, got 'x'."),
        (lambda p: archive(p, logits=np.eye(2)), {"kind": "probabilities"}, "kind must be 'logits' as the file says, got 'probabilities'."),
        (lambda p: archive(p, logits=np.eye(2), target=["a", "b"]), {}, "class_names must be given to read the names in target, got none."),
        (lambda p: archive(p, logits=np.eye(2), target=["a", "c"], class_names=["a", "b"]), {}, "target must name classes of class_names, got 'c'."),
        (lambda p: archive(p, logits=np.eye(2)), {"target": "no.npy"}, "target must be an existing file, got 'no.npy'."),
    ],
)  # fmt: skip
def test_what_is_no_file_of_scores_gets_one_sentence(tmp_path, make, options, sentence):
    path = tmp_path / "s.npz"
    make(path)
    with pytest.raises(UserError) as error:
        read_scores(path, **options)
    assert str(error.value) == sentence.replace("{path}", str(path))


def test_values_alone_do_not_say_what_they_are(tmp_path):
    np.save(tmp_path / "v.npy", np.eye(2))
    sentence = 'kind must be said to be "logits" or "probabilities", got neither. A file of values alone does not tell.'
    with pytest.raises(ValueError, match="^" + sentence.replace(".", r"\.") + "$"):
        read_scores(tmp_path / "v.npy")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,b\n1,2\n", "scores must have the columns image, rank, class and probability or logit, got ['a', 'b']."),
        ("", "scores must have the columns image, rank, class and probability or logit, got []."),
        ("image,rank,class,logit\na,1,x,0.5\na,1,y,0.5\n", "scores must name each image once, got 'a' twice."),
        ("image,rank,class,logit\na,1,x,0.5\nb,2,y,0.5\n", "scores must hold the ranks 1 to k of each image, got [1] rows an image."),
        ("image,rank,class,logit\na,first,x,0.5\n", "scores must hold numbers as rank and score, got ('first', '0.5')."),
    ],
)  # fmt: skip
def test_a_csv_file_of_something_else_gets_one_sentence(tmp_path, text, sentence):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(UserError) as error:
        read_scores(tmp_path / "s.csv")
    assert str(error.value) == sentence
