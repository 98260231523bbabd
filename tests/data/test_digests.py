"""Digests say which tested images were trained on; plain options build the same data again."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from tests.data.drawings import class_folders, noise
from topk_lightning.data import (
    EmojiDataModule,
    ImageFolderDataModule,
    build_data_module,
    count_trained_on,
    digests,
    file_digests,
    pixel_digest,
    plain_options,
    training_digests,
)

SPLITS = ("train", "val", "test")


@pytest.fixture
def root(tmp_path):
    return class_folders(tmp_path / "photos", {"cat": 10, "dog": 8})


def test_a_copy_in_another_lossless_format_has_the_same_digest_and_a_changed_pixel_another(tmp_path):
    image = noise()
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "b.bmp")
    changed = image.copy()
    changed.putpixel((0, 0), (0, 0, 0))
    changed.save(tmp_path / "c.png")
    first, second, third = file_digests([tmp_path / name for name in ("a.png", "b.bmp", "c.png")], 224).tolist()
    assert first == second == pixel_digest(image) != third
    assert pixel_digest(Image.new("L", (2, 8)).convert("RGB")) != pixel_digest(Image.new("L", (4, 4)).convert("RGB"))


def test_the_tested_images_that_were_trained_on_are_counted(root, tmp_path):
    data = ImageFolderDataModule(root, image_size=8)
    trained = training_digests(data)
    assert trained.dtype == torch.int64
    assert len(trained) == len(data.targets("train"))
    everything = sorted(root.rglob("*.png"))
    assert count_trained_on(file_digests(everything, 8), trained) == len(data.targets("train"))
    assert count_trained_on(data.digests("test"), trained) == 0
    shutil.copy(root / data.sample_names("train")[0], tmp_path / "renamed.png")
    assert count_trained_on(file_digests([tmp_path / "renamed.png"], 8), trained) == 1


def test_an_unreadable_file_has_no_digest(tmp_path):
    (tmp_path / "a.png").write_text("text")
    assert len(file_digests([tmp_path / "a.png"], 8)) == 0


def test_a_checkpoint_keeps_a_bounded_number_of_digests(root, monkeypatch):
    monkeypatch.setattr(digests, "MOST_DIGESTS", 5)
    data = ImageFolderDataModule(root, image_size=8)
    assert training_digests(data).tolist() == sorted(data.digests("train").tolist())[:5]


def test_a_large_photo_is_digested_as_it_is_decoded_for_training(tmp_path):
    folder = class_folders(tmp_path / "photos", {"cat": 3, "dog": 3})
    large = folder / "cat" / "large.jpg"
    noise((1100, 1200)).save(large)
    data = ImageFolderDataModule(folder, image_size=8, seed=3)
    places = {name: (split, at) for split in SPLITS for at, name in enumerate(data.sample_names(split))}
    split, at = places["cat/large.jpg"]
    assert file_digests([large], 8).tolist() == [data.digests(split)[at].item()]


def test_plain_options_build_the_same_splits_and_survive_json_and_weights_only(root, tmp_path):
    data = ImageFolderDataModule(str(root), image_size=8, val_fraction=0.3, seed=7, statistics=((0.5,) * 3, (0.2,) * 3))
    options = plain_options(data)
    torch.save(options, tmp_path / "options.pt")
    for kept in (json.loads(json.dumps(options)), torch.load(tmp_path / "options.pt", weights_only=True)):
        again = build_data_module(kept)
        assert plain_options(again) == options
        assert [again.sample_names(split) for split in SPLITS] == [data.sample_names(split) for split in SPLITS]
        assert again.statistics == data.statistics
    assert build_data_module(options, batch_size=2).batch_size == 2


def test_plain_options_hold_every_argument_of_the_constructor():
    data = EmojiDataModule(16, 4, classes=["food-fruit"], test_vendors=["twemoji"])
    options = plain_options(data)
    assert options["class_path"] == "topk_lightning.data.EmojiDataModule"
    assert set(options["init_args"]) == {
        "image_size", "batch_size", "num_workers", "augment", "classes", "train_vendors", "val_vendors", "test_vendors",
        "statistics", "resize", "interpolation", "seed", "sheet",
    }  # fmt: skip
    assert build_data_module(options).vendors == data.vendors


def test_an_augmentation_of_ones_own_is_left_out_of_plain_options(root):
    data = ImageFolderDataModule(root, image_size=8, augment=v2.RandomHorizontalFlip())
    assert "augment" not in plain_options(data)["init_args"]


@pytest.mark.parametrize("path", ["os.system", "topk_lightning.data.find_leaks", None, "topk_lightning.data.Nowhere"])
def test_nothing_but_a_data_module_of_this_library_is_built(path):
    with pytest.raises(ValueError, match=r"^class_path must be one of topk_lightning\.data\.EmojiDataModule, .*, got "):
        build_data_module({"class_path": path, "init_args": {}})
