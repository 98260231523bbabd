"""Which class is which, several accepted labels an image, and images that cannot be read."""

from __future__ import annotations

import os
import stat

import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import pil_to_tensor

from tests.report.modelled import Page, Scores, loader_of
from topk_lightning import (
    ImageFolderDataModule,
    MultilabelTopKAccuracy,
    Preprocessing,
    TrainedModel,
    topk_accuracy,
    write_report,
)
from topk_lightning.report._data_splits import read_splits

COLOURS = {"ant": (250, 0, 0), "bee": (0, 250, 0), "cat": (0, 0, 250), "dog": (250, 250, 0)}
PREPARED = Preprocessing(8, (0.0,) * 3, (1.0,) * 3)


class Colours(nn.Module):
    """Right by construction about images in the colours of these classes."""

    def __init__(self, *names):
        super().__init__()
        self.colours = torch.tensor([COLOURS[name] for name in names]) / 250

    def forward(self, images):
        return -torch.cdist(images.mean((2, 3)), self.colours)


def folder_of(root, names, count=4):
    for name in names:
        (root / name).mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", (8, 8), COLOURS[name]).save(root / name / f"{index}.png")
    return root


def report_of(model, data, tmp_path, **options):
    return Page(write_report(model, data, tmp_path / "report.html", **{"preprocessing": PREPARED, **options}))


def test_classes_of_a_folder_and_of_a_loader_are_recognised_by_name(tmp_path):
    root = folder_of(tmp_path / "photos", ["bee", "cat"])
    model, names = Colours("ant", "bee", "cat"), ["ant", "bee", "cat"]
    dataset = ImageFolder(root, transform=lambda image: pil_to_tensor(image) / 250)
    for data in (root, DataLoader(dataset, 3)):
        page = report_of(model, data, tmp_path, class_names=names)
        assert "The first guess is right for 8 of 8 images" in page.text
        assert "The data has 2 of the model's 3 classes; they are recognised by name" in page.text
    folder_of(root, ["dog"])
    with pytest.raises(
        ValueError, match=r"^data must hold classes of the model only, got 'dog'. The model's classes are"
    ):
        write_report(model, root, tmp_path / "r.html", class_names=names, preprocessing=PREPARED)


def test_another_folder_is_read_as_many_levels_down_as_that_of_the_training(tmp_path):
    for name in ("birds/owl", "fish/cod", "__MACOSX/fish/eel"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / name / "1.png")
    for levels, expected in ((2, ["cod", "owl"]), (1, ["birds", "fish"]), ("2", ["birds", "fish"])):
        kept = {"training_data": {"options": {"init_args": {"levels": levels}}}}
        model = TrainedModel(nn.Flatten(), expected, Preprocessing(8, (0.5,) * 3, (0.5,) * 3), training_data=kept)
        splits = read_splits(tmp_path, model)
        assert splits.class_names == expected
        assert [splits.test.name(index) for index in range(len(splits.test))] == [
            str(tmp_path / name / "1.png")
            for name in (("fish/cod", "birds/owl") if levels == 2 else ("birds/owl", "fish/cod"))
        ]


@pytest.mark.parametrize("splits", [None, ["test", "train", "test"], ["train", "val", "val"]])
def test_a_table_is_tested_whole_or_as_it_says(tmp_path, splits):
    folder_of(tmp_path, ["ant", "bee"], 2)
    rows = [("ant/0.png", "ant"), ("bee/0.png", "bee"), ("ant/1.png", "ant")]
    head = "path,label" if splits is None else "path,label,split"
    lines = [",".join([*row, *([] if splits is None else [splits[at]])]) for at, row in enumerate(rows)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join([head, *lines]))
    if splits is not None and "test" not in splits:
        with pytest.raises(ValueError, match=r"^data must hold test images in .*, got those of train and val alone\.$"):
            report_of(Colours("ant", "bee"), table, tmp_path, class_names=["ant", "bee"])
        return
    page = report_of(Colours("ant", "bee"), table, tmp_path, class_names=["ant", "bee"])
    tested = 3 if splits is None else 2
    assert f"The first guess is right for {tested} of {tested} images" in page.text


def test_two_classes_of_one_name_are_told_apart_or_refused(tmp_path):
    names = ["cat", "bee", "dog", "bee"]
    target = torch.arange(4).repeat_interleave(10)
    page = report_of(Scores(), loader_of(9 * torch.eye(4)[target], target), tmp_path, class_names=names)
    assert "The first guess is right for 40 of 40 images" in page.text
    assert list(page.classes) == ["cat", "bee (1)", "dog", "bee (3)"]
    # A folder cannot say which of the two it means.
    root = folder_of(tmp_path / "photos", ["bee", "cat", "dog"])
    with pytest.raises(
        ValueError, match=r"^class_names must name each class of the model differently, got 'bee' 2 times"
    ):
        report_of(Colours(*names), root, tmp_path, class_names=names)


class Accepted(Dataset):
    """Scores as images, and the labels that are accepted for each."""

    def __init__(self, logits, accepted):
        self.logits, self.accepted = logits, accepted

    def __len__(self):
        return len(self.logits)

    def __getitem__(self, index):
        return self.logits[index].view(1, 1, -1).expand(3, 1, -1), self.accepted[index]


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.bool])
def test_any_accepted_label_is_right(dtype, tmp_path):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40, 6, generator=generator)
    accepted = torch.rand(40, 6, generator=generator) < 0.3
    accepted[~accepted.any(1), 5] = True
    accepted[3] = False
    labelled = accepted.any(1)
    page = report_of(Scores(), DataLoader(Accepted(logits, accepted.to(dtype)), 7), tmp_path, k=3)
    right, within = ((MultilabelTopKAccuracy(k)(logits, accepted.int()) * labelled.sum()).round() for k in (1, 3))
    assert f"The first guess is right for {right:.0f} of {labelled.sum()} images" in page.text
    assert f"Among its first 3 guesses it is there for {within:.0f}" in page.text
    assert f"{(accepted.sum(1) > 1).sum()} images have several accepted labels, of which any is right" in page.text
    assert f"{(~labelled).sum()} image has no accepted label and is left out" in page.text


def test_of_several_accepted_labels_the_one_that_stands_first_is_the_class_of_an_image(tmp_path):
    logits = torch.tensor([[5.0, 4, 1, 0], [5.0, 4, 1, 0], [torch.nan, 4, 1, 0], [1.0, 1, 1, 1]])
    accepted = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 1, 0], [0, 0, 1, 1]])
    page = report_of(Scores(), DataLoader(Accepted(logits, accepted), 4), tmp_path, class_names=list("abcd"), k=2)
    # b (rank 1), a (rank 0), c (a NaN is a miss, c stands behind it and b), c (ties by index: rank 2)
    assert [page.classes[name][0] for name in "abcd"] == ["1", "1", "2", "0"]
    assert "The first guess is right for 1 of 4 images" in page.text
    assert "Among its first 2 guesses it is there for 2" in page.text


def test_targets_that_are_neither_indices_nor_accepted_labels_are_refused(tmp_path):
    logits = torch.eye(3)
    for target, got in (
        (torch.full((3, 3), 0.5), "got one with other values."),
        (torch.ones(3, 2), "got one of shape (1, 2)."),
        (torch.zeros(3, 1, dtype=torch.int64), "got one of shape (1, 1). Did you mean target.squeeze(1)?"),
    ):
        with pytest.raises(
            ValueError, match=r"^target must be a class index an image, or its accepted labels"
        ) as caught:
            report_of(Scores(), DataLoader(Accepted(logits, target), 3), tmp_path)
        assert str(caught.value).endswith(got)


def broken_folder(tmp_path):
    root = folder_of(tmp_path / "photos", ["bee", "cat"])
    (root / "bee" / "1.png").write_bytes((root / "bee" / "1.png").read_bytes()[:45])
    Image.new("F", (8, 8)).save(root / "cat" / "float.tif")
    return root


def test_unreadable_images_never_end_a_report(tmp_path):
    root = broken_folder(tmp_path)
    model, options = Colours("bee", "cat"), {"class_names": ["bee", "cat"], "batch_size": 1}
    for batch_size in (1, 3, 100):
        page = report_of(model, root, tmp_path, **{**options, "batch_size": batch_size})
        assert "The first guess is right for 7 of 7 images" in page.text
        assert "2 images could not be read, and are left out" in page.text
        assert str(root / "bee" / "1.png") in page.text
        assert str(root / "cat" / "float.tif") in page.text
    with pytest.raises(ValueError, match="must be a readable image"):
        report_of(model, root, tmp_path, **options, on_bad_image="raise")
    for name in ("0", "1", "2", "3"):
        for label in ("bee", "cat"):
            (root / label / f"{name}.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="data must hold at least one readable test image, got 9 unreadable ones, "):
        report_of(model, root, tmp_path, **options)


def test_unreadable_images_of_other_splits_and_of_loaders_never_end_a_report(tmp_path):
    for split in ("train", "val", "test"):
        broken_folder(tmp_path / split)
        (tmp_path / split / "photos").rename(tmp_path / f"{split}_")
        (tmp_path / split).rmdir()
        (tmp_path / f"{split}_").rename(tmp_path / split)
    page = report_of(Colours("bee", "cat"), tmp_path, tmp_path, class_names=["bee", "cat"])
    assert "The first guess is right for 7 of 7 images" in page.text
    assert "2 images could not be read" in page.text
    dataset = ImageFolder(tmp_path / "test", transform=lambda image: pil_to_tensor(image.convert("RGB")) / 250)
    for workers in (0, 2):
        loader = DataLoader(dataset, 3, num_workers=workers)
        page = report_of(Colours("bee", "cat"), loader, tmp_path)
        assert "of 8 images" in page.text  # torchvision shows a float image as black
        assert "1 image could not be read, and is left out" in page.text


@pytest.mark.filterwarnings("ignore::topk_lightning.data.BadImageWarning")
@pytest.mark.filterwarnings("ignore::topk_lightning.data.LeakageWarning")
def test_images_that_a_data_module_leaves_out_are_named_too(tmp_path):
    root = broken_folder(tmp_path)
    data = ImageFolderDataModule(root, image_size=8, on_bad_image="skip", statistics=[[0.0] * 3, [1.0] * 3])
    page = report_of(Colours("bee", "cat"), data, tmp_path, preprocessing=None, class_names=["bee", "cat"])
    assert "2 images could not be read, and are left out: " in page.text
    assert all(name in page.text for name in ("bee/1.png", "cat/float.tif"))


def test_images_of_a_subset_and_of_several_sets_keep_their_files(tmp_path):
    root = folder_of(tmp_path / "photos", ["bee", "cat"])
    whole = ImageFolder(root, transform=lambda image: pil_to_tensor(image) / 250)
    some = ConcatDataset([Subset(whole, [6, 1]), TensorDataset(torch.zeros(1, 3, 8, 8), torch.tensor([1]))])
    page = report_of(Colours("cat", "bee"), DataLoader(some, 2), tmp_path, hard_images=3)
    for name in (root / "cat" / "2.png", root / "bee" / "1.png", "image 3 of 3"):
        assert str(name) in page.text


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_said_before_the_test(tmp_path):
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OSError, match="closed"):
        write_report(lambda images: pytest.fail("tested"), None, tmp_path / "closed" / "report.html")


def test_a_place_that_cannot_be_made_is_said_before_anything_is_read(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_report("no.ckpt", None, tmp_path / "file" / "report.html")


def test_the_accuracy_is_that_of_the_metric(tmp_path):
    logits, target = torch.randn(50, 7, generator=torch.Generator().manual_seed(1)), torch.arange(50) % 7
    page = report_of(Scores(), loader_of(logits, target), tmp_path, k=3)
    assert f"({topk_accuracy(logits, target, 3):.3f})" in page.text
