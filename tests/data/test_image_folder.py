"""ImageFolderDataModule on real folders: both layouts, the split, and every way a folder can be wrong."""

from __future__ import annotations

import os
import pickle
import random
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.data.drawings import class_folders, fill, noise, split_folders
from topk_lightning.data import (
    BadImageWarning,
    EmojiDataModule,
    ImageFolderDataModule,
    LeakageWarning,
    LeftOutWarning,
    UnreadableImageError,
    _processes,
)
from topk_lightning.data._random_split import complete_splits

SPLITS = ("train", "val", "test")


def ready(root, **options):
    data = ImageFolderDataModule(root, **{"image_size": 8, "batch_size": 4, **options})
    data.setup()
    return data


def names(data):
    return {split: data.sample_names(split) for split in SPLITS}


def test_one_folder_a_class_is_split_in_equal_proportions(tmp_path):
    data = ready(class_folders(tmp_path, {"dog": 20, "cat": 40}), val_fraction=0.1, test_fraction=0.25)
    assert data.class_names == ["cat", "dog"]
    assert data.class_to_idx == {"cat": 0, "dog": 1}
    counts = {split: [data.targets(split).count(index) for index in (0, 1)] for split in SPLITS}
    assert counts == {"train": [26, 13], "val": [4, 2], "test": [10, 5]}
    everything = [name for split in SPLITS for name in data.sample_names(split)]
    assert len(set(everything)) == 60
    assert {name.split("/")[0] for name in everything} == {"cat", "dog"}


def test_the_split_depends_on_seed_and_names_alone(tmp_path, monkeypatch):
    root = class_folders(tmp_path / "here", {"cat": 12, "dog": 9})
    first = names(ready(root))
    shutil.copytree(root, tmp_path / "there")
    scandir = os.scandir

    @contextmanager
    def in_any_order(path):
        with scandir(path) as entries:
            listed = list(entries)
        random.shuffle(listed)
        yield listed

    monkeypatch.setattr(os, "scandir", in_any_order)
    assert names(ready(tmp_path / "there")) == first
    assert names(ready(root, seed=1)) != first


def test_the_split_of_a_class_is_the_same_where_the_locale_knows_no_utf_8():
    name = "thé"
    unknown = name.encode().decode("ascii", "surrogateescape")
    files = {"train": [(f"{number}.png", index) for index in (0, 1) for number in range(20)]}
    splits = [
        complete_splits(files, [name, "tea"], Path(), 0.2, 0.2, 0),
        complete_splits(files, [unknown, "tea"], Path(), 0.2, 0.2, 0),
    ]
    assert splits[0] == splits[1]
    taken = [name for name, index in splits[0]["test"] if index == 0]
    shuffled = [f"{number}.png" for number in range(20)]
    shuffled.sort()
    random.Random("0/thé").shuffle(shuffled)  # as before
    assert sorted(shuffled[:4]) == taken


def test_another_class_moves_no_file(tmp_path):
    root = class_folders(tmp_path, {"cat": 12, "dog": 9})
    before = names(ready(root))
    fill(root / "bee", 7)
    after = names(ready(root))
    assert {s: [n for n in after[s] if not n.startswith("bee")] for s in SPLITS} == before


@pytest.mark.parametrize(("count", "expected"), [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (4, (2, 1, 1))])
def test_small_classes_keep_one_to_train_on(tmp_path, count, expected):
    data = ready(class_folders(tmp_path, {"many": 10, "few": count}))
    assert tuple(data.targets(split).count(0) for split in SPLITS) == expected
    assert data.describe().smallest_class == "few"
    assert data.describe().smallest_class_images == expected[0]


def test_folders_of_splits_are_taken_as_they_are(tmp_path):
    data = ready(split_folders(tmp_path, {"train": 4, "val": 3, "test": 2}))
    assert data.class_names == ["cat", "dog"]
    assert data.sample_names("val") == [f"val/{c}/{n:02}.png" for c in ("cat", "dog") for n in range(3)]
    assert data.targets("test") == [0, 0, 1, 1]
    assert str(data.describe()) == (
        "2 classes, 18 images (8 train, 6 val, 4 test) at 8×8 pixels; smallest class: cat (4 to train on)"
    )


def test_a_class_may_be_called_train(tmp_path):
    data = ready(class_folders(tmp_path, {"bus": 6, "train": 6}))
    assert data.class_names == ["bus", "train"]


def test_hidden_files_and_files_that_are_no_images_are_left_out(tmp_path):
    root = class_folders(tmp_path, {"cat": 4, "dog": 4})
    (root / ".cache").mkdir()
    (root / "readme.txt").write_text("about")
    (root / "cat" / ".hidden.png").write_text("no image")
    (root / "cat" / "notes.txt").write_text("about cats")
    fill(root / "cat" / "deeper", 2, ".JPG")
    fill(root / "cat" / ".thumbnails", 2)
    with pytest.warns(LeftOutWarning, match=rf"^1 file was left out of {root}: 1 \.txt\.$"):
        data = ready(root)
    assert data.left_out == {".txt": 1}
    assert str(data.describe()).endswith("; left out: 1 .txt")
    found = sorted(name for split in SPLITS for name in data.sample_names(split) if name.startswith("cat"))
    assert found == [*(f"cat/{n:02}.png" for n in range(4)), "cat/deeper/00.JPG", "cat/deeper/01.JPG"]


def test_batches_hold_the_files_in_order(tmp_path):
    data = ready(split_folders(tmp_path, {"train": 4, "val": 3, "test": 3}), image_size=16)
    images, target = next(iter(data.test_dataloader()))
    assert images.shape == (4, 3, 16, 16)
    assert target.tolist() == [0, 0, 0, 1]
    transform = data.preprocessing.evaluation_transform()
    with Image.open(tmp_path / data.sample_names("test")[3]) as picture:
        assert transform(picture).equal(images[3])
        assert data.pictures("test", [3])[0].tobytes() == picture.tobytes()
    assert torch.cat(list(data.predict_dataloader())).shape == (6, 3, 16, 16)
    images, target = next(iter(data.train_dataloader()))
    assert images.shape == (4, 3, 16, 16)


def test_statistics_are_those_of_the_training_images_alone(tmp_path):
    root = split_folders(tmp_path, {"train": 5, "val": 2, "test": 2})
    for path in (root / "val" / "cat").iterdir():
        noise().point(lambda value: value // 20).save(path)
    data = ready(root, augment="none", resize="stretch")
    pixels = torch.cat([images for images, _ in data.train_dataloader()]).double()
    assert pixels.mean((0, 2, 3)).tolist() == pytest.approx([0.0] * 3, abs=1e-5)
    assert pixels.std((0, 2, 3), correction=0).tolist() == pytest.approx([1.0] * 3, abs=1e-5)


def test_a_copy_in_another_split_is_leakage_whatever_its_format(tmp_path):
    root = split_folders(tmp_path, {"train": 4, "val": 3, "test": 3})
    with Image.open(root / "train/cat/00.png") as picture:
        picture.save(root / "test/dog/copy.bmp")
    shutil.copy(root / "val/dog/01.png", root / "val/cat/twin.png")  # within one split: no leakage
    with pytest.warns(LeakageWarning) as warned:
        data = ready(root)
    assert str(warned[0].message) == (
        "1 image stands in more than one split, which flatters the scores: "
        "train: train/cat/00.png = test: test/dog/copy.bmp."
    )
    assert data.duplicates == [("train: train/cat/00.png", "test: test/dog/copy.bmp")]


def test_an_unreadable_image_is_named(tmp_path):
    root = split_folders(tmp_path, {"train": 3, "val": 2, "test": 2})
    path = root / "val/dog/01.png"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UnreadableImageError, match=rf"^{path} must be a readable image, got OSError"):
        ready(root)


def test_unreadable_images_are_skipped_when_asked_and_listed(tmp_path):
    root = split_folders(tmp_path, {"train": 3, "val": 2, "test": 2})
    (root / "val/dog/01.png").write_text("text")
    cut = root / "train/cat/02.png"
    cut.write_bytes(cut.read_bytes()[:-40])
    with pytest.warns(BadImageWarning) as warned:
        data = ready(root, on_bad_image="skip")
    assert [str(w.message) for w in warned] == ["2 unreadable images were skipped: train/cat/02.png, val/dog/01.png."]
    assert data.skipped == ["train/cat/02.png", "val/dog/01.png"]
    assert data.sample_names("train") == [f"train/{n}.png" for n in ("cat/00", "cat/01", "dog/00", "dog/01", "dog/02")]
    assert len(next(iter(data.val_dataloader()))[0]) == 3
    assert data.describe().skipped == 2
    data.setup("test")  # a second stage skips nothing twice
    assert len(data.skipped) == 2


def test_one_skipped_image_is_one_image(tmp_path):
    root = split_folders(tmp_path, {"train": 3, "val": 2, "test": 2})
    (root / "val/dog/01.png").write_text("text")
    with pytest.warns(BadImageWarning, match=r"^1 unreadable image was skipped: val/dog/01\.png\.$"):
        data = ready(root, on_bad_image="skip")
    assert str(data.describe()).endswith("; 1 unreadable image skipped")


def test_a_class_whose_images_are_all_unreadable_is_an_error(tmp_path):
    root = split_folders(tmp_path, {"train": 1, "val": 1, "test": 1})
    (root / "train/dog/00.png").write_text("text")
    with pytest.raises(ValueError, match=r"^root must hold a readable image of class 'dog' in train, got unreadable"):
        ready(root, on_bad_image="skip")


def test_it_can_be_pickled_and_read_by_workers(tmp_path):
    data = ready(split_folders(tmp_path, {"train": 3, "val": 2, "test": 2}), num_workers=2)
    copy = pickle.loads(pickle.dumps(data))
    images, target = next(iter(copy.val_dataloader()))
    assert images.shape == (4, 3, 8, 8)
    assert target.tolist() == [0, 0, 1, 1]


def broken(root, case):
    if case == "nowhere":
        return root / "nowhere"
    if case == "file":
        (root / "file").write_text("text")
        return root / "file"
    if case == "nothing":
        return root
    if case == "one class":
        return class_folders(root, {"cat": 5})
    if case == "empty class":
        class_folders(root, {"cat": 5, "dog": 5})
        (root / "bee").mkdir()
        return root
    if case == "too few":
        return class_folders(root, {"cat": 1, "dog": 1})
    split_folders(root, {"train": 2, "val": 2, "test": 2}, ("cat", "dog"))
    if case == "no train":
        shutil.rmtree(root / "train")
    if case == "class missing":
        shutil.rmtree(root / "test/dog")
    if case == "class unknown":
        fill(root / "val/bee", 2)
    if case == "class empty in val":
        for path in (root / "val/cat").iterdir():
            path.unlink()
    return root


@pytest.mark.parametrize(
    ("case", "error", "sentence"),
    [
        ("nowhere", FileNotFoundError, "root must hold the folder {root}/nowhere, got no such folder."),
        ("file", NotADirectoryError, "root must be a folder, also at {root}/file, got a file."),
        ("nothing", ValueError, "root must hold at least two class folders in {root}, got none."),
        ("one class", ValueError, "root must hold at least two class folders in {root}, got one class only ('cat')."),
        (
            "empty class",
            ValueError,
            "root must hold at least one image in {root}/bee, got none. "
            "Add images, or remove the class from every split.",
        ),
        (
            "too few",
            ValueError,
            "root must hold enough images to split ({root}), got none for val. "
            "A class needs three images to have one in each split.",
        ),
        ("no train", FileNotFoundError, "root must hold the folder {root}/train, got no such folder."),
        ("class missing", FileNotFoundError, "root must hold the folder {root}/test/dog, got no such folder."),
        (
            "class unknown",
            ValueError,
            "root must hold the same classes in every split ({root}/train has no 'bee'), got {root}/val/bee.",
        ),
        (
            "class empty in val",
            ValueError,
            "root must hold at least one image in {root}/val/cat, got none. "
            "Add images, or remove the class from every split.",
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(tmp_path, case, error, sentence):
    root = broken(tmp_path, case)
    with pytest.raises(error) as raised:
        ready(root)
    assert str(raised.value) == sentence.format(root=tmp_path)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"val_fraction": 0}, "val_fraction must be above 0, got 0.0."),
        ({"test_fraction": 1.5}, "test_fraction must be a fraction in [0, 1], got 1.5."),
        (
            {"val_fraction": 0.5, "test_fraction": 0.5},
            "val_fraction + test_fraction must be below 1, got 0.5 + 0.5.",
        ),
        ({"on_bad_image": "ignore"}, "on_bad_image must be one of 'raise', 'skip', got 'ignore'."),
    ],
)
def test_wrong_options_are_named(tmp_path, options, sentence):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        ImageFolderDataModule(tmp_path, **options)
    assert str(raised.value) == sentence


def test_without_a_look_at_all_images_statistics_must_be_given_and_an_unreadable_image_is_found_in_training(tmp_path):
    root = split_folders(tmp_path, {"train": 3, "val": 2, "test": 2})
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        ImageFolderDataModule(root, check_images=False)
    assert str(raised.value) == (
        "statistics must be given where check_images=False, got None. "
        'Pass statistics="imagenet", or a mean and a deviation.'
    )
    checked = ready(root)
    (root / "train/dog/01.png").write_text("text")
    data = ready(root, check_images=False, statistics="imagenet")
    assert data.digests("test").equal(checked.digests("test"))
    with pytest.raises(UnreadableImageError, match=r"01\.png must be a readable image"):
        list(data.train_dataloader())


@pytest.mark.parametrize(("images", "processors", "expected"), [(255, 8, 0), (256, 8, 1), (5000, 8, 8), (5000, 2, 2)])
def test_workers_suit_the_number_of_images_and_of_processors(monkeypatch, images, processors, expected):
    monkeypatch.setattr(_processes, "count_of_threads", lambda: processors)
    assert _processes.count_of_workers(images) == expected
    monkeypatch.setattr(_processes.multiprocessing, "get_start_method", lambda: "spawn")
    assert _processes.count_of_workers(images) == 0


def test_workers_that_are_asked_for_are_taken(tmp_path):
    root = class_folders(tmp_path, {"cat": 5, "dog": 5})
    assert ready(root).worker_count() == 0
    assert ready(root, num_workers=2).worker_count() == 2


@pytest.mark.parametrize("has_gpu", [False, True])
def test_workers_stay_between_epochs_and_memory_is_pinned_where_there_is_a_gpu(tmp_path, monkeypatch, has_gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    data = ready(class_folders(tmp_path, {"cat": 5, "dog": 5}), num_workers=1)
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        assert loader.persistent_workers
        assert loader.pin_memory == has_gpu
    assert EmojiDataModule().num_workers == 0  # in memory


def test_a_balanced_epoch_draws_each_class_equally_often_and_as_many_images(tmp_path):
    root = class_folders(tmp_path, {"many": 40, "few": 4})
    drawn = {}
    for balance in (False, True):
        data = ImageFolderDataModule(root, image_size=8, batch_size=8, num_workers=0, balance=balance, seed=1)
        data.setup()
        epochs = [torch.cat([target for _, target in data.train_dataloader()]) for _ in range(20)]
        drawn[balance] = torch.stack([targets.bincount(minlength=2) for targets in epochs])
    # few, many: 2 and 28 images of 30 to train on
    assert drawn[False].unique(dim=0).tolist() == [[2, 28]]
    assert (drawn[True].sum(1) == 30).all()
    # 20 · 30 fair draws: the share of one class is within 4 standard deviations of 1/2
    assert abs(drawn[True].sum(0)[0] / 600 - 0.5) < 4 * (0.25 / 600) ** 0.5
