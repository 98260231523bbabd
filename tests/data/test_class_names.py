"""Class names are found where they are certain, and nowhere else."""

from __future__ import annotations

import json

import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset
from torchvision.datasets import FakeData, ImageFolder

from tests.data.drawings import class_folders, split_folders
from topk_lightning._checks.class_names import check_class_names, check_different_names, distinct_names
from topk_lightning.data import ImageFolderDataModule, find_class_names


@pytest.fixture
def folder(tmp_path):
    return ImageFolder(class_folders(tmp_path / "a", {"bee": 2, "cat": 2}))


def test_a_data_module_knows_its_classes_and_so_do_its_loaders(tmp_path):
    data = ImageFolderDataModule(split_folders(tmp_path, {"train": 3, "val": 2, "test": 2}), image_size=8)
    assert find_class_names(data) == ["cat", "dog"]
    data.setup()
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        assert find_class_names(loader) == ["cat", "dog"]


def test_the_classes_of_an_image_folder_are_certain_through_loaders_subsets_and_concatenations(folder):
    for dataset in (folder, Subset(folder, [0, 3]), ConcatDataset([folder, Subset(folder, [1])])):
        assert find_class_names(dataset) == ["bee", "cat"]
        assert find_class_names(DataLoader(dataset)) == ["bee", "cat"]
        assert find_class_names([DataLoader(dataset), DataLoader(folder)]) == ["bee", "cat"]
        assert find_class_names({"a": DataLoader(dataset)}) == ["bee", "cat"]


def test_changed_targets_leave_no_name_certain(folder, tmp_path):
    assert find_class_names(ImageFolder(folder.root, target_transform=lambda target: 1 - target)) is None
    folder.transforms = lambda image, target: (image, 1 - target)
    assert find_class_names(folder) is None

    class Renumbered(Subset):
        def __getitem__(self, index):
            image, target = super().__getitem__(index)
            return image, 1 - target

        def __getitems__(self, indices):
            return [self[index] for index in indices]

    assert find_class_names(Renumbered(ImageFolder(folder.root), [0])) is None


def test_data_sets_that_disagree_or_say_nothing_have_no_names(folder, tmp_path):
    other = ImageFolder(class_folders(tmp_path / "b", {"bee": 1, "dog": 1}))
    assert find_class_names(ConcatDataset([folder, other])) is None
    assert find_class_names([DataLoader(folder), DataLoader(other)]) is None
    assert find_class_names(TensorDataset(torch.zeros(2))) is None
    assert find_class_names(FakeData(2)) is None
    assert find_class_names([]) is None
    assert find_class_names(None) is None


def test_class_to_idx_decides_the_order(folder):
    folder.class_to_idx = {"bee": 1, "cat": 0}
    assert find_class_names(folder) == ["cat", "bee"]
    folder.class_to_idx = {"bee": 0, "cat": 0}
    assert find_class_names(folder) is None


@pytest.mark.parametrize(
    "names",
    [
        ["tench", "goldfish"],
        ("tench", "goldfish"),
        {0: "tench", 1: "goldfish"},
        {"tench": 0, "goldfish": 1},
        {"1": "goldfish", "0": "tench"},
    ],
)
def test_names_are_taken_from_every_usual_form(names):
    assert check_class_names(names) == ["tench", "goldfish"]
    if isinstance(names, dict) and all(isinstance(key, str) for key in names):
        assert check_class_names(json.loads(json.dumps(names))) == ["tench", "goldfish"]


def test_names_that_are_digits_are_names():
    assert check_class_names({"7": 0, "3": 1}) == ["7", "3"]
    assert check_class_names({"0": "7", "1": "3"}) == ["7", "3"]


FORM = "class_names must be a list of names, {index: name} or {name: index}, got "


@pytest.mark.parametrize(
    ("names", "error", "sentence"),
    [
        (
            {"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]},
            TypeError,
            "class_names must hold texts, got ['n01440764', 'tench'] of type list. "
            "Choose one text of each, such as 'tench'.",
        ),
        ({"a": "b"}, TypeError, FORM + "'a': 'b'."),
        ({0: "a", "b": 1}, TypeError, FORM + "'b': 1."),
        ({0: "a", "0": "b"}, ValueError, "class_names must give each index to one name, got index 0 twice."),
        ({"a": 0, "b": 0}, ValueError, "class_names must give each index to one name, got index 0 twice."),
        ({0: "a", 2: "b"}, ValueError, "class_names must name every index from 0 to 1, got none for 1."),
        ("ab", TypeError, FORM + "str."),
        ({f"{number}.0": f"class {number}" for number in range(1000)}, TypeError, FORM + "'0.0': 'class 0'."),
    ],
)
def test_other_forms_are_refused_in_one_short_sentence(names, error, sentence):
    with pytest.raises(error) as raised:
        check_class_names(names)
    assert str(raised.value) == sentence


def test_where_a_name_is_a_key_no_two_classes_may_have_it_and_where_it_is_shown_the_index_tells_them_apart():
    with pytest.raises(ValueError, match=r"^class_names must name each class differently, got 'crane' for 0 and 2\.$"):
        check_different_names(["crane", "heron", "crane"])
    assert check_different_names(["crane", "heron"]) == ["crane", "heron"]
    assert distinct_names(["crane", "heron", "crane"]) == ["crane (0)", "heron", "crane (2)"]
