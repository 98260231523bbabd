"""Which folders are splits and which are classes, for every layout of the field."""

from __future__ import annotations

import csv

import pytest

from tests.data.drawings import class_folders, fill, noise, split_folders
from topk_lightning import Hierarchy
from topk_lightning.data import DeeperFoldersWarning, ImageFolderDataModule, LeftOutWarning

SPLITS = ("train", "val", "test")


def ready(root, **options):
    data = ImageFolderDataModule(root, **{"image_size": 8, "batch_size": 4, **options})
    data.setup()
    return data


def sizes(data):
    return tuple(len(data.targets(split)) for split in SPLITS)


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        # train: 2 classes × 8, others 2 × 3; validation of 15 % is 1 of 8 a class
        (("train", "val", "test"), (16, 6, 6)),
        (("train", "valid", "test"), (16, 6, 6)),  # Roboflow, fastai
        (("TRAIN", "VAL", "TEST"), (16, 6, 6)),
        (("training", "validation", "testing"), (16, 6, 6)),
        (("training_set", "test_set"), (14, 2, 6)),
        (("train", "val"), (16, 6, 0)),  # ImageNet, Imagenette
        (("train", "valid"), (16, 6, 0)),
        (("train", "dev"), (16, 6, 0)),
        (("train", "eval"), (16, 6, 0)),
        (("Training", "Test"), (14, 2, 6)),  # Fruits-360
        (("Train", "Test"), (14, 2, 6)),
        (("seg_train", "seg_test"), (14, 2, 6)),
        (("train",), (14 - 2, 2, 2)),
    ],
)
def test_the_usual_names_of_splits_are_splits(tmp_path, folders, expected):
    data = ready(split_folders(tmp_path, {name: 8 if number == 0 else 3 for number, name in enumerate(folders)}))
    assert data.class_names == ["cat", "dog"]
    assert sizes(data) == expected
    assert all(name.startswith(f"{folders[0]}/") for name in data.sample_names("train"))


@pytest.mark.parametrize("names", [("bus", "car", "train"), ("test", "tube"), ("steam_train", "express_train")])
def test_a_folder_of_any_other_name_makes_all_of_them_classes(tmp_path, names):
    assert ready(class_folders(tmp_path, dict.fromkeys(names, 4))).class_names == sorted(names)


def test_longer_names_are_splits_only_where_they_hold_the_same_folders(tmp_path):
    class_folders(tmp_path, {"crash_test": 4, "steam_train": 4})
    assert ready(tmp_path).class_names == ["crash_test", "steam_train"]


def test_splits_beside_a_folder_of_another_name_are_an_error_and_not_classes(tmp_path):
    split_folders(tmp_path, {"train": 3, "test": 3, "extra": 3})
    with pytest.raises(ValueError, match=r"^root must hold .* in .*, got 'extra' beside 'test' and 'train'\.$"):
        ready(tmp_path)


def test_two_folders_of_one_split_are_named(tmp_path):
    split_folders(tmp_path, {"train": 3, "val": 3, "valid": 3})
    with pytest.raises(ValueError, match=r"^root must hold one folder for val in .*, got 'val' and 'valid'\.$"):
        ready(tmp_path)


def test_splits_that_hold_images_and_no_classes_are_an_error(tmp_path):
    class_folders(tmp_path, {"train": 3, "test": 3})
    with pytest.raises(ValueError, match=r"^root must hold at least two class folders in .*/train, got none\.$"):
        ready(tmp_path)


def species(root):
    """Write root/genus/species/*, three images each."""
    for name in ("birds/owl", "birds/jay", "fish/cod"):
        fill(root / name, 3)
    return root


def test_species_in_folders_of_their_genus_count_for_the_genus_which_is_said(tmp_path):
    sentence = (
        f"All images of {tmp_path} lie in folders below those of the classes (birds/jay, birds/owl, fish/cod) and count for "
        "the class above. Pass levels=2 to make each of these folders a class."
    )
    with pytest.warns(DeeperFoldersWarning) as said:
        data = ready(species(tmp_path))
    assert str(said[0].message) == sentence
    assert data.class_names == ["birds", "fish"]
    assert sum(sizes(data)) == 9
    assert data.fine_to_coarse == {}
    fill(tmp_path / "birds", 1)  # a bird of no species: the folder is a class, and those below it are parts of it
    assert ready(tmp_path).class_names == ["birds", "fish"]


@pytest.mark.parametrize("splits", [("",), ("train", "valid")])
def test_species_are_classes_two_levels_down_and_their_genus_is_known(tmp_path, splits):
    for split in splits:
        species(tmp_path / split)
    data = ready(tmp_path, levels=2)
    assert data.class_names == ["cod", "jay", "owl"]
    assert data.coarse_names == {"level 1": ["birds", "fish"]}
    assert data.fine_to_coarse == {"level 1": [1, 0, 0]}
    for name, index in zip(data.sample_names("train"), data.targets("train"), strict=True):
        assert f"/{data.class_names[index]}/" in name
    assert Hierarchy.of(tmp_path / splits[0], data.class_names).groups == (1, 0, 0)


def test_three_levels_have_two_of_groups_from_fine_to_coarse(tmp_path):
    for name in ("animals/birds/owl", "animals/fish/cod", "plants/trees/oak"):
        fill(tmp_path / name, 3)
    data = ready(tmp_path, levels=3)
    assert data.class_names == ["cod", "oak", "owl"]
    assert data.coarse_names == {
        "level 2": ["animals/birds", "animals/fish", "plants/trees"],
        "level 1": ["animals", "plants"],
    }
    assert data.fine_to_coarse == {"level 2": [1, 2, 0], "level 1": [0, 1, 0]}


def test_what_does_not_fit_two_levels_is_named(tmp_path):
    fill(species(tmp_path) / "birds", 2)
    with pytest.warns(LeftOutWarning, match=r": 2 image in no class folder\.$"):
        ready(tmp_path, levels=2)
    fill(tmp_path / "fish" / "owl", 1)
    with pytest.raises(
        ValueError, match=r"^root must hold one class of a name in .*, got 'birds/owl' and 'fish/owl'\.$"
    ):
        ready(tmp_path, levels=2)
    with pytest.raises(
        ValueError, match=r"^root must hold at least two class folders 3 levels down in .*, got none\.$"
    ):
        ready(tmp_path, levels=3)
    with pytest.raises(ValueError, match=r"^levels must be left out for a table, which names its classes, got 2\.$"):
        ImageFolderDataModule(tmp_path / "photos.csv", levels=2)


def test_without_test_images_a_test_is_an_error_unless_validation_may_stand_in(tmp_path):
    split_folders(tmp_path, {"train": 4, "val": 3})
    data = ready(tmp_path)
    assert str(data.describe()).startswith("2 classes, 14 images (8 train, 6 val) at")
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        data.test_dataloader()
    assert str(raised.value) == (
        "data must hold images of the test split, got none. Add a folder of test images, or pass test_on_val=True."
    )
    data = ready(tmp_path, test_on_val=True)
    assert data.sample_names("test") == data.sample_names("val")
    assert data.duplicates == []
    assert len(list(data.test_dataloader())) == 2


def test_a_test_fraction_of_0_keeps_every_image_for_training_and_validation(tmp_path):
    data = ready(class_folders(tmp_path, {"cat": 20, "dog": 20}), test_fraction=0, val_fraction=0.25)
    assert sizes(data) == (30, 10, 0)


def test_a_class_of_unknown_files_is_named_with_their_suffixes(tmp_path):
    class_folders(tmp_path, {"cat": 4})
    for number in range(3):
        (tmp_path / "dog").mkdir(exist_ok=True)
        (tmp_path / "dog" / f"{number}.xcf").touch()
    with pytest.raises(ValueError, match=r"^root must hold at least one image in .*/dog, got 3 \.xcf\.$"):
        ready(tmp_path)


def test_images_beside_the_class_folders_are_counted(tmp_path):
    class_folders(tmp_path, {"cat": 4, "dog": 4})
    fill(tmp_path, 2)
    (tmp_path / "README.txt").touch()
    with pytest.warns(LeftOutWarning, match=r"2 files were left out of .*: 2 image in no class folder\.$"):
        data = ready(tmp_path)
    assert data.left_out == {"image in no class folder": 2}


def write(path, *rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_a_table_names_images_labels_and_splits(tmp_path):
    fill(tmp_path / "all", 6)
    rows = [
        (f"all/{n:02}.png", "cat" if n % 2 else "dog", s)
        for n, s in enumerate(["train"] * 3 + ["Valid", "test", "train"])
    ]
    data = ready(write(tmp_path / "labels.csv", ("path", "label", "split"), *rows))
    assert data.class_names == ["cat", "dog"]
    assert data.sample_names("train") == ["all/00.png", "all/01.png", "all/02.png", "all/05.png"]
    assert data.targets("train") == [1, 0, 1, 0]
    assert (data.targets("val"), data.targets("test")) == ([0], [1])
    assert data.pictures("test", [0])[0].size == (20, 16)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_table_may_part_its_columns_by_semicolons_or_tabs(tmp_path, delimiter):
    names = [f"{label}, of {n}" for label in "ab" for n in range(4)]
    rows = [("label", "path"), *((name[0], name) for name in names)]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    for name in names:
        noise().save(tmp_path / name, "png")
    data = ready(tmp_path / "labels.csv")
    assert data.class_names == ["a", "b"]
    assert sorted(name for split in SPLITS for name in data.sample_names(split)) == sorted(names)


def test_a_table_without_splits_is_split_as_a_folder_is(tmp_path):
    class_folders(tmp_path, {"cat": 8, "dog": 6})
    folder = ready(tmp_path)
    rows = [(name, name[:3]) for split in SPLITS for name in folder.sample_names(split)]
    data = ready(write(tmp_path / "labels.csv", ("Path", "Label"), *rows))
    assert [data.sample_names(split) for split in SPLITS] == [folder.sample_names(split) for split in SPLITS]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [("file", "class")],
            "root must name the columns path and label in the first line of {path}, got 'file, class'.",
        ),
        ([("path", "label"), ("a.png", "")], "root must hold a label in line 2 of {path}, got an empty cell."),
        (
            [("path", "label", "split"), ("a.png", "cat", "later")],
            "root must name train, val or test in line 2 of {path}, got 'later'.",
        ),
        (
            [("path", "label"), ("a.png", "cat"), ("a.png", "dog")],
            "root must name each image of {path} once, got 'a.png' twice.",
        ),
        (
            [("path", "label"), ("a.png", "cat")],
            "root must hold at least two classes in {path}, got one class only ('cat').",
        ),
        (
            [("path", "label", "split"), ("a.png", "cat", "train"), ("b.png", "dog", "test")],
            "root must hold an image to train on of each class in {path}, got none of 'dog'.",
        ),
    ],
)
def test_what_is_wrong_with_a_table_is_named(tmp_path, rows, sentence):
    path = write(tmp_path / "labels.csv", *rows)
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        ready(path)
    assert str(raised.value) == sentence.format(path=path)


@pytest.mark.parametrize("names", [("Cat", "cat"), ("tree frog", "tree  frog"), ("caf\u00e9", "cafe\u0301")])
def test_classes_whose_names_look_alike_are_said_and_kept(tmp_path, names):
    table = tmp_path / "photos.csv"
    paths = fill(tmp_path / "images", 8)
    rows = [["path", "label"], *([f"images/{p.name}", names[i % 2]] for i, p in enumerate(paths))]
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    with pytest.warns(UserWarning, match=" differ in capitals or blanks alone"):
        assert set(ImageFolderDataModule(table).class_names) == set(names)
    with pytest.warns(UserWarning, match=" differ in capitals or blanks alone"):
        assert len(ImageFolderDataModule(class_folders(tmp_path / "photos", dict.fromkeys(names, 3))).class_names) == 2


def test_a_comma_within_a_label_that_is_not_quoted_is_no_other_label(tmp_path):
    table = tmp_path / "photos.csv"
    table.write_text("path,label\na.png,cat, tabby\nb.png,dog\n")
    sentence = "^root must hold 2 cells in line 2 of .*, got 3. Put a cell that holds a comma between quotes.$"
    with pytest.raises(ValueError, match=sentence):
        _ = ImageFolderDataModule(table).class_names


def test_a_table_may_begin_with_a_byte_order_mark_and_hold_empty_lines_and_quoted_commas(tmp_path):
    paths = fill(tmp_path / "images", 8)
    lines = [f'"images/{path.name}","{("cat, tabby", "dog")[i % 2]}"' for i, path in enumerate(paths)]
    (tmp_path / "photos.csv").write_text("\n".join(["\ufeffPath,Label", *lines, "", ""]), encoding="utf-8")
    data = ready(tmp_path / "photos.csv")
    assert data.class_names == ["cat, tabby", "dog"]
    assert sum(sizes(data)) == 8


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_table_in_another_encoding_is_named(tmp_path, encoding):
    (tmp_path / "photos.csv").write_bytes("path,label\na.png,größe\n".encode(encoding))
    with pytest.raises(ValueError, match=r"^root must be a csv table, text in UTF-8, got '.*photos\.csv'\.$"):
        _ = ImageFolderDataModule(tmp_path / "photos.csv").class_names


def test_suffixes_in_any_case_and_names_of_any_script_are_read(tmp_path):
    for name in ("Äpfel", "it's; <b>", "10", "-rf", "a,b"):
        (tmp_path / name).mkdir()
        for suffix in (".JPG", ".Png", ".JPEG", ".Tiff", ".bmp"):
            noise().save(tmp_path / name / f"x{suffix}")
    data = ready(tmp_path)
    assert data.class_names == ["-rf", "10", "a,b", "it's; <b>", "Äpfel"]
    assert sum(sizes(data)) == 25


def test_images_of_detection_sets_and_images_without_folders_are_refused(tmp_path):
    for split in ("train", "val"):  # images/train/*.png beside labels/train/*.txt
        fill(tmp_path / "yolo" / "images" / split, 2)
        (tmp_path / "yolo" / "labels" / split).mkdir(parents=True)
        (tmp_path / "yolo" / "labels" / split / "00.txt").write_text("0 .5 .5 .1 .1")
    with pytest.raises(ValueError, match=r"^root must hold at least one image in .*/labels, got 2 \.txt\.$"):
        ready(tmp_path / "yolo")
    fill(tmp_path / "flat", 3)
    with pytest.raises(ValueError, match=r"^root must hold at least two class folders in .*/flat, got none\.$"):
        ready(tmp_path / "flat")


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^root must be a folder or a csv table, got no such file \("):
        ready(tmp_path / "nowhere.csv")
