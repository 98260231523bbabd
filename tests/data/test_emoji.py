"""The embedded emoji: what is in the sheet, and what the data module makes of it."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest
import pytorch_lightning as pl
import torch

from topk_lightning.data import EMBEDDED_SHEET, EmojiDataModule, LeakageWarning, Preprocessing, load_sheet, read_index

VENDORS = ["noto", "noto-v1", "fxemoji", "fluent-emoji", "fluent-emoji-flat", "twemoji", "emojione"]


@pytest.fixture(scope="module")
def data():
    module = EmojiDataModule()
    module.setup("fit")
    return module


def test_every_vendor_drew_every_class_once():
    sheet, index = load_sheet(EMBEDDED_SHEET), read_index(EMBEDDED_SHEET)
    classes = len(index["classes"])
    assert sheet.tiles.shape == (classes * 7, 3, 64, 64)
    assert sheet.tiles.dtype == torch.uint8
    assert Counter(sheet.vendors) == dict.fromkeys(VENDORS, classes)
    assert Counter(sheet.class_indices.tolist()) == dict.fromkeys(range(classes), 7)


def test_drawings_show_what_their_names_say(data):
    pictures = dict(zip(data.targets("test"), data.pictures("test"), strict=True))
    names = ("red heart", "green apple", "blue book")
    centre = {name: pictures[data.class_to_idx[name]].getpixel((32, 34)) for name in names}
    red, green, blue = centre["red heart"], centre["green apple"], centre["blue book"]
    assert red[0] > 200 > 150 > max(red[1:])
    assert green[1] > max(green[0], green[2])
    assert blue[2] > blue[0]


def test_drawings_stand_on_white_and_none_is_blank():
    tiles = load_sheet(EMBEDDED_SHEET).tiles
    assert tiles.flatten(1).min(1).values.max() < 255
    corners = tiles[:, :, [0, 0, -1, -1], [0, -1, 0, -1]].amin(1)
    assert (corners == 255).float().mean() > 0.8  # the rest are drawings that fill their square


def test_package_names_every_source_with_its_version_and_licence():
    notice = EMBEDDED_SHEET.with_name("NOTICE").read_text()
    packages = read_index(EMBEDDED_SHEET)["packages"]
    assert list(packages) == sorted(VENDORS)
    for package in packages.values():
        assert f"{package['package']} {package['version']}" in notice
        assert package["license"] in ("Apache-2.0", "MIT", "CC-BY-4.0")
        assert f"{package['title']}, (c) {package['author']}\n  license: {package['license']}" in notice


def test_sheet_and_index_weigh_at_most_four_megabytes():
    files = [EMBEDDED_SHEET, EMBEDDED_SHEET.with_suffix(".json"), EMBEDDED_SHEET.with_name("NOTICE")]
    assert sum(file.stat().st_size for file in files) <= 4_000_000


def test_the_test_vendor_is_seen_nowhere_else(data):
    vendors = {
        split: {name.rpartition(" (")[2].rstrip(")") for name in data.sample_names(split)}
        for split in ("train", "val", "test")
    }
    assert vendors["test"] == {"emojione"}
    assert vendors["val"] == {"noto-v1"}
    assert vendors["train"] == set(VENDORS) - {"emojione", "noto-v1"}
    assert data.duplicates == []


def test_it_knows_its_classes_before_setup():
    module = EmojiDataModule()
    assert module.num_classes == len(module.class_names) == len(set(module.class_names)) == 462
    assert module.class_to_idx[module.class_names[7]] == 7
    assert not hasattr(module, "preprocessing")
    with pytest.raises(AttributeError) as error:
        module.preprocessing  # noqa: B018
    assert str(error.value) == (
        "preprocessing must be read after setup, got a data module that is not set up. Call setup() first."
    )


def test_two_coarser_levels_nest(data):
    subcategory, category = data.fine_to_coarse["subcategory"], data.fine_to_coarse["category"]
    assert len(subcategory) == len(category) == data.num_classes
    assert sorted(set(subcategory)) == list(range(len(data.coarse_names["subcategory"])))
    assert sorted(set(category)) == list(range(len(data.coarse_names["category"])))
    assert len(set(zip(subcategory, category, strict=True))) == len(set(subcategory))
    cat = data.class_to_idx["cat"]
    assert data.coarse_names["subcategory"][subcategory[cat]] == "animal-mammal"
    assert data.coarse_names["category"][category[cat]] == "Animals & Nature"


def test_batches_are_normalised_pairs(data):
    images, target = next(iter(data.train_dataloader()))
    assert (images.shape, images.dtype) == ((64, 3, 64, 64), torch.float32)
    assert (target.shape, target.dtype) == ((64,), torch.int64)
    plain = EmojiDataModule(augment="none")
    plain.setup()
    everything = torch.cat([images for images, _ in plain.train_dataloader()]).double()
    assert everything.mean((0, 2, 3)).tolist() == pytest.approx([0.0] * 3, abs=1e-5)
    assert everything.std((0, 2, 3), correction=0).tolist() == pytest.approx([1.0] * 3, abs=1e-5)


def test_evaluation_loaders_follow_the_names(data):
    targets = torch.cat([target for _, target in data.test_dataloader()])
    assert targets.tolist() == data.targets("test")
    names = [f"{data.class_names[target]} (emojione)" for target in data.targets("test")]
    assert names == data.sample_names("test")
    images = torch.cat(list(data.predict_dataloader()))
    assert images.equal(torch.cat([images for images, _ in data.test_dataloader()]))
    transform = data.preprocessing.evaluation_transform()
    assert transform(data.pictures("test", [5])[0]).equal(images[5])


def test_smaller_images_come_from_the_same_preprocessing():
    data = EmojiDataModule(image_size=24, classes=12)
    data.setup()
    images, _ = next(iter(data.val_dataloader()))
    assert images.shape == (12, 3, 24, 24)
    assert data.pictures("val", [0])[0].size == (64, 64)
    assert data.preprocessing.evaluation_transform()(data.pictures("val", [3])[0]).equal(images[3])


@pytest.mark.parametrize("workers", [0, 2])
def test_the_seed_decides_the_order_and_the_next_epoch_has_another(workers):
    def orders(seed):
        data = EmojiDataModule(seed=seed, classes=40, image_size=16, augment="none", num_workers=workers)
        data.setup()
        loader = data.train_dataloader()
        return [torch.cat([target for _, target in loader]).tolist() for _ in range(2)]

    torch.manual_seed(5)
    first = orders(seed=1)
    torch.manual_seed(6)
    assert orders(seed=1) == first
    assert first[0] != first[1]
    assert sorted(first[0]) == sorted(first[1])
    if not workers:
        assert orders(seed=2) != first


def test_workers_augment_differently_from_each_other_and_repeatably():
    def epoch():
        data = EmojiDataModule(classes=["grapes", "melon"], image_size=16, num_workers=2, batch_size=5, seed=3)
        data.setup()
        return [images for images, _ in data.train_dataloader()]

    first, second = epoch(), epoch()
    assert all(a.equal(b) for a, b in zip(first, second, strict=True))
    assert len({image.sum().item() for images in first for image in images}) == 10


def test_it_can_be_pickled_before_and_after_setup(data):
    for module in (EmojiDataModule(classes=3), data):
        copy = pickle.loads(pickle.dumps(module))
        copy.setup()
        assert copy.class_names == module.class_names


def test_spawned_workers_give_the_same_images(data):
    loader = data.test_dataloader()
    spawned = torch.utils.data.DataLoader(loader.dataset, batch_size=64, num_workers=1, multiprocessing_context="spawn")
    assert next(iter(spawned))[0].equal(next(iter(loader))[0])


def test_given_statistics_are_used_and_need_not_be_measured():
    data = EmojiDataModule(classes=5, statistics=((0.5, 0.4, 0.3), (0.1, 0.2, 0.3)))
    data.setup()
    assert data.preprocessing == Preprocessing(64, (0.5, 0.4, 0.3), (0.1, 0.2, 0.3))


def test_imagenets_statistics_have_a_name():
    data = EmojiDataModule(classes=5, statistics="imagenet")
    data.setup()
    assert data.preprocessing.mean == (0.485, 0.456, 0.406)
    assert data.preprocessing.std == (0.229, 0.224, 0.225)


def test_classes_may_be_a_number_or_names_of_any_level():
    assert EmojiDataModule(classes=10).num_classes == 10
    assert EmojiDataModule(classes=["cat", "dog"]).class_names == ["dog", "cat"]  # in the standard's order
    fruit = EmojiDataModule(classes=["food-fruit", "cat"])
    assert fruit.coarse_names["subcategory"] == ["animal-mammal", "food-fruit"]
    assert fruit.fine_to_coarse["subcategory"][:2] == [0, 1]


def test_describe_counts_classes_images_and_the_smallest_class(data):
    summary = data.describe()
    assert summary.num_classes == 462
    assert summary.images == {"train": 462 * 5, "val": 462, "test": 462}
    assert summary.smallest_class_images == 5
    assert str(summary) == (
        "462 classes, 3234 images (2310 train, 462 val, 462 test) at 64×64 pixels; "
        "smallest class: skull (5 to train on)"
    )


def test_a_drawing_in_two_splits_is_reported_by_name(tmp_path):
    import json

    from PIL import Image

    index = read_index(EMBEDDED_SHEET)
    classes = index["classes"][:3]
    sheet = Image.new("RGB", (8 * 9, 8), "white")
    for tile in range(9):
        sheet.paste((10 * (tile % 3), 20 * tile if tile != 7 else 20, 0), (8 * tile, 0, 8 * tile + 8, 8))
    sheet.save(tmp_path / "own.png")
    drawn_by = [[vendor, [0, 1, 2]] for vendor in ("noto", "noto-v1", "emojione")]
    (tmp_path / "own.json").write_text(
        json.dumps({"size": 8, "columns": 9, "classes": classes, "drawn_by": drawn_by, "packages": {}})
    )
    data = EmojiDataModule(sheet=str(tmp_path / "own.png"), image_size=8)
    with pytest.warns(LeakageWarning) as warned:
        data.setup()
    assert str(warned[0].message) == (
        "1 image stands in more than one split, which flatters the scores: train: ogre (noto) = test: ogre (emojione)."
    )
    assert data.duplicates == [("train: ogre (noto)", "test: ogre (emojione)")]
    assert str(data.describe()).endswith("; 1 image stands in more than one split")


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"classes": 1}, ValueError, "classes must be at least 2, got 1."),
        ({"classes": 500}, ValueError, "classes must be at most 462, got 500."),
        ({"classes": "cat"}, TypeError, "classes must be a number or a list of names, got 'cat'."),
        (
            {"classes": ["cat", "graps"]},
            ValueError,
            "classes must name emoji, subcategories or categories, got 'graps'. Did you mean 'grapes'?",
        ),
        ({"classes": ["cat"]}, ValueError, "classes must name at least 2 emoji, got 1."),
        (
            {"test_vendors": ["apple"]},
            ValueError,
            "test_vendors must be one of 'noto', 'noto-v1', 'fxemoji', 'fluent-emoji', 'fluent-emoji-flat', "
            "'twemoji', 'emojione', got 'apple'.",
        ),
        (
            {"train_vendors": ["noto", "emojione"]},
            ValueError,
            "vendor 'emojione' must stand in one split, got train and test.",
        ),
        ({"val_vendors": []}, ValueError, "val_vendors must name at least one vendor, got none."),
        (
            {"val_vendors": ["fluent-emoji"]},
            ValueError,
            "fluent-emoji and fluent-emoji-flat must stand in one split, being the same drawings, "
            "got fluent-emoji in val, fluent-emoji-flat in train.",
        ),
        ({"statistics": "cifar"}, ValueError, "statistics must be one of 'imagenet', got 'cifar'."),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0."),
        ({"num_workers": -1}, ValueError, "num_workers must be at least 0, got -1."),
        ({"seed": 1.5}, TypeError, "seed must be an integer, got 1.5 of type float."),
        (
            {"statistics": [[0.5]]},
            ValueError,
            "statistics must be a mean and a deviation of 3 channels each, got [[0.5]].",
        ),
    ],
)
def test_errors_say_what_is_wanted(options, error, sentence):
    with pytest.raises(error) as raised:
        EmojiDataModule(**options)
    assert str(raised.value) == sentence


def test_a_missing_sheet_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        EmojiDataModule(sheet=str(tmp_path / "none.webp"))
    assert str(error.value) == f"sheet must have none.json beside it, got no such file in {tmp_path}."


def test_an_unknown_split_is_named(data):
    with pytest.raises(ValueError, match=r"^split must be one of 'train', 'val', 'test', got 'dev'\.$"):
        data.sample_names("dev")


def test_it_is_a_data_module_of_pytorch_lightning(data):
    assert isinstance(data, pl.LightningDataModule)
