"""Hierarchies of any depth: from a csv file, a tree of folders, or what is given."""

from __future__ import annotations

import pytest

from topk_lightning.hierarchy import Hierarchy, read_levels

NAMES = ["boston", "airedale", "beagle", "siamese"]
ROWS = ["boston,terrier,dog,animal", "airedale,terrier,dog,animal", "beagle,hound,dog,animal", "siamese,,cat,animal"]


def groups(levels):
    return {level: [hierarchy.group_names[group] for group in hierarchy.groups] for level, hierarchy in levels.items()}


def test_a_csv_file_of_any_depth_names_its_levels(tmp_path):
    path = tmp_path / "tree.csv"
    path.write_text("\n".join(["class,breed,kind,all", *ROWS]))
    assert groups(read_levels(path, NAMES)) == {
        "breed": ["terrier", "terrier", "hound", "siamese"],
        "kind": ["dog", "dog", "dog", "cat"],
        "all": ["animal"] * 4,
    }
    path.write_text("\n".join([*ROWS, "extra,x,y,z"]))
    assert list(read_levels(path, NAMES)) == ["level 1", "level 2", "level 3"]
    path.write_text("boston,terrier\nbeagle,hound\n")
    assert groups(read_levels(str(path), ["beagle", "boston"])) == {"group": ["hound", "terrier"]}


def test_of_other_columns_those_headed_fine_and_coarse_are_read(tmp_path):
    path = tmp_path / "tree.csv"
    path.write_text("id,fine,note,coarse\n1,boston,x,terrier\n2,beagle,y,hound\n")
    assert groups(read_levels(path, ["beagle", "boston"])) == {"coarse": ["hound", "terrier"]}


def test_a_tree_of_folders_of_any_depth_is_the_same(tmp_path):
    for way in (
        "animal/dog/terrier/boston",
        "animal/dog/terrier/airedale",
        "animal/dog/hound/beagle",
        "animal/cat/siamese",
    ):
        (tmp_path / way).mkdir(parents=True)
    assert list(groups(read_levels(tmp_path, NAMES)).values()) == [
        ["terrier", "terrier", "hound", "siamese"],
        ["dog", "dog", "dog", "cat"],
        ["animal"] * 4,
    ]


def test_groups_of_one_name_are_told_apart_by_what_they_lie_in(tmp_path):
    path = tmp_path / "tree.csv"
    path.write_text("class,kind,all\nboston,other,dog\nsiamese,other,cat\n")
    assert groups(read_levels(path, ["boston", "siamese"]))["kind"] == ["dog/other", "cat/other"]


def test_levels_may_be_given():
    one = Hierarchy((0, 0, 1, 2), ("terrier", "hound", "cat"))
    assert read_levels(one, NAMES) == {"group": one}
    two = {"breed": one, "kind": [0, 0, 0, 1]}
    assert list(read_levels(two, NAMES)) == ["breed", "kind"]
    of_names = dict(zip(NAMES, "ddde", strict=True))
    assert groups(read_levels(of_names, NAMES)) == {"group": list("ddde")}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "boston,terrier\n",
            r"hierarchy must name the groups of each class, got none for 'beagle'\. It names 'boston'\.",
        ),
        ("boston,a\nboston,b\n", r"hierarchy must name each class once, got 'boston' twice in .*"),
        (
            "boston,a\nbeagle,b,c\n",
            r"line 2 of .* must name a class and its groups, got 'beagle,b,c'\. Write a line .*",
        ),
        ("", r"hierarchy must name the groups of each class, got none for 'boston', 'beagle'\. It names no class\."),
    ],
)
def test_a_file_that_says_something_else_is_named(tmp_path, text, sentence):
    path = tmp_path / "tree.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_levels(path, ["boston", "beagle"])


def test_what_is_no_tree_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"hierarchy must be an existing csv file or folder, got 'nowhere'\."):
        read_levels("nowhere", NAMES)
    (tmp_path / "boston").mkdir()
    with pytest.raises(ValueError, match=r"hierarchy must hold folders of groups, which hold the classes, got .*"):
        read_levels(tmp_path, ["boston"])
    with pytest.raises(
        ValueError, match=r"levels must go from fine to coarse, each group of 'a' within one of 'b', got .*"
    ):
        read_levels({"a": [0, 0, 1, 1], "b": [0, 1, 1, 1]}, NAMES)
    with pytest.raises(ValueError, match=r"hierarchy must name a group for each of 4 classes, got 2\."):
        read_levels([0, 1], NAMES)
