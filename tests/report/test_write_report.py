"""The report: what it says of known test sets, of a trained classifier, and of what goes wrong."""

from __future__ import annotations

import re

import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import topk_lightning
from tests.report.modelled import HOSTILE, SCRIPT, Page, Scores, loader_of, matrix_loader
from topk_lightning import Preprocessing, TopKClassifier, write_report
from topk_lightning.prediction import TrainedModel
from topk_lightning.report._evaluation import Evaluator
from topk_lightning.report._labelled_images import images_of_loader

MATRIX = [[50, 2, 3], [4, 45, 1], [2, 3, 40]]
NAMES = ["cat", "dog", "owl"]


def report_of(model, data, tmp_path, **options):
    return Page(write_report(model, data, tmp_path / "report.html", **options))


def test_the_table_holds_the_values_of_a_matrix_that_is_counted_by_hand(tmp_path):
    page = report_of(Scores(), matrix_loader(MATRIX), tmp_path, class_names=NAMES)
    f1 = 2 * 50 / (55 + 56)
    assert page.classes["cat"] == [
        "55", f"{50 / 55:.3f}", "1.000", f"{50 / 56:.3f}", f"{f1:.3f}", "owl (3)", "reliable",
    ]  # fmt: skip
    assert [row[0].strip() for row in page.rows[1:]] == ["owl", "dog", "cat"]  # 40/45 < 45/50 < 50/55
    assert f"The first guess is right for {50 + 45 + 40} of 150 images ({135 / 150:.3f})." in page.text
    assert "cat: 3 of 55 taken for owl" in page.text
    assert "fair" in page.text  # the accuracy is .90, and reliable begins above


def test_every_class_of_few_stands_in_the_heat_map_and_of_many_those_of_the_worst_pairs(tmp_path):
    assert "Confusions of all classes" in report_of(Scores(), matrix_loader(MATRIX), tmp_path).text
    many = torch.eye(60, dtype=torch.int64) * 8
    many[7, 9] = many[9, 7] = 5
    page = report_of(Scores(), matrix_loader(many.tolist()), tmp_path)
    assert "Confusions among the 2 classes of the worst pairs" in page.text
    assert "class 7: 5 of 13 taken for class 9" in page.text
    assert "class 7 taken for class 9" in page.text


def test_a_trained_classifier_is_reported_with_its_data_training_and_groups(trained, tmp_path):
    page = report_of(trained.checkpoint, trained.data, tmp_path, facts={"Seed": "0"})
    model = TrainedModel.load(trained.classifier)
    images = images_of_loader(DataLoader(trained.data.evaluation_dataset("test"), 24), model)
    hits = int((Evaluator(model, 24).evaluate(images, 5).rank == 0).sum())
    assert f"The first guess is right for {hits} of 24 images" in page.text
    for words in (
        "Loss by epoch",
        "Accuracy on validation images by epoch",
        "Accuracy by category",
        "A temperature of ",
        "SmallCNN, ",
        "saved after 15 optimizer steps",
        "24 classes, 168 images (120 train, 24 val, 24 test) at 32×32 pixels",
        "CrossEntropyLoss(",
        f"topk-lightning {topk_lightning.__version__}",
        f"torch {torch.__version__.split('+')[0]}",
        "24 classes have fewer than 6 test images",
    ):
        assert words in page.text, words
    pictures = [found["src"] for tag, found in page.tags if tag == "img"]
    # 12 confident mistakes, and of those with the highest loss what is not among them; 6 suspect labels, 4 with a finding.
    assert 12 < len(pictures) <= 24 + 6 + 4
    assert all(source.startswith("data:image/webp;base64,") for source in pictures)
    again = report_of(trained.classifier, trained.data, tmp_path)
    assert again.classes == page.classes  # the module says what its checkpoint says


def test_the_curves_come_from_the_checkpoint_where_no_file_stands_beside_it(trained, tmp_path):
    alone = tmp_path / "alone.ckpt"
    alone.write_bytes(trained.checkpoint.read_bytes())
    page = report_of(alone, trained.data, tmp_path)
    assert "From the table of epochs in the checkpoint." in page.text
    assert "Loss by epoch" in page.text


def test_hard_images_are_those_with_the_highest_confidence_and_the_highest_loss(tmp_path):
    logits = torch.tensor([[4.0, 0, 0], [0, 8.0, 0], [0, 0, 6.0], [0, 5.0, 0], [1.0, 0.9, 0]])
    target = torch.tensor([0, 0, 1, 1, 2])
    page = report_of(Scores(), loader_of(logits, target), tmp_path, class_names=NAMES, hard_images=2)
    # Wrong are 2, 3 and 5, the first two with more confidence. Of the others 5 has the highest loss, then 1.
    section = page.source.partition('<section id="hard_images"')[2].partition("</section>")[0]
    assert re.findall(r"image \d of 5", section) == [f"image {number} of 5" for number in (2, 3, 5, 1)]


def test_no_hard_image_is_shown_if_none_is_asked_for(tmp_path):
    page = report_of(Scores(), matrix_loader(MATRIX), tmp_path, hard_images=0)
    assert not [tag for tag, _ in page.tags if tag == "img"]


def test_images_with_nan_scores_are_listed_and_count_as_misses(tmp_path):
    logits, target = 9 * torch.eye(3).repeat(4, 1), torch.arange(3).repeat(4)
    logits[5, 2] = torch.nan  # the score of its own class
    logits[7] = torch.nan
    page = report_of(Scores(), loader_of(logits, target), tmp_path, class_names=NAMES)
    assert "The first guess is right for 10 of 12 images" in page.text
    assert "2 images have scores without a finite maximum" in page.text
    assert "image 6 of 12 (owl)" in page.text
    assert "image 8 of 12 (dog)" in page.text
    assert page.classes["dog"][:2] == ["4", "0.750"]


def test_a_nan_elsewhere_is_a_miss_at_the_first_guess_alone_and_infinity_none(tmp_path):
    logits, target = 9 * torch.eye(3).repeat(4, 1), torch.arange(3).repeat(4)
    logits[0, 2] = torch.nan  # of another class: the true one is second
    page = report_of(Scores(), loader_of(logits, target), tmp_path, class_names=NAMES, k=2)
    assert "for 11 of 12 images (0.917). Among its first 2 guesses it is there for 12" in page.text
    assert "1 image has scores without a finite maximum" in page.text
    assert "No image was taken for another class." in page.text
    logits[0, 2], logits[1, 1] = 0, torch.inf
    page = report_of(Scores(), loader_of(logits, target), tmp_path, class_names=NAMES, k=2)
    assert "The first guess is right for 12 of 12 images" in page.text
    assert "1 image has scores without a finite maximum" in page.text


def test_a_test_set_of_nan_alone_still_makes_a_report(tmp_path):
    page = report_of(Scores(), loader_of(torch.full((4, 3), torch.nan), torch.tensor([0, 1, 2, 0])), tmp_path)
    assert "The first guess is right for 0 of 4 images (0.000)" in page.text
    assert "No image has scores that a confidence can be made of." in page.text


def test_classes_without_images_have_no_recall_and_stand_last(tmp_path):
    page = report_of(Scores(), loader_of(torch.eye(3)[[0, 2]], torch.tensor([0, 2])), tmp_path, class_names=NAMES)
    assert page.rows[-1][0].strip() == "dog"
    assert page.classes["dog"][:2] == ["0", "–"]
    assert page.classes["dog"][-1] == "no images"
    assert "1 class has no test image, and so no recall." in page.text


@pytest.mark.parametrize("name", [*HOSTILE, SCRIPT])
def test_hostile_names_are_text_wherever_they_stand(name, tmp_path):
    matrix = torch.full((3, 3), 4).tolist()
    names = [name, name + "2", "plain"]
    page = report_of(
        Scores(), matrix_loader(matrix), tmp_path, class_names=names, title=name, facts={name: name},
        hierarchy={name: [0, 0, 1]},
    )  # fmt: skip
    assert list(page.classes) == names
    assert page.text.count(name) > 10
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert not [key for _, found in page.tags for key in found if key.startswith("on")]
    assert not [tag for tag, found in page.tags if tag == "img" and not (found["src"] or "").startswith("data:")]


def test_names_turn_no_direction_and_send_no_escape_sequence(tmp_path):
    name, plain = "\x1b]0;title\x07 \u202egnp.exe\u2069", "👩\u200d🚒 قطة"
    page = report_of(
        Scores(),
        matrix_loader([[3, 1], [2, 3]]),
        tmp_path,
        class_names=[name, plain],
        title=name,
        facts={name: name},
        k=1,
    )
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]", page.source)
    assert set(page.classes) == {r"\x1b]0;title\x07 \u202egnp.exe\u2069", plain}


def test_nothing_is_loaded_from_anywhere(trained, tmp_path):
    page = report_of(trained.checkpoint, trained.data, tmp_path)
    for tag, found in page.tags:
        for key in ("src", "href", "action", "srcset", "data"):
            if key in found:
                assert (found[key] or "").startswith(("data:", "#")), (tag, found)
    assert "http" not in page.source.replace("http-equiv", "")
    policy = next(found["content"] for tag, found in page.tags if found.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe-inline" not in policy.split("script-src")[1]


def test_every_figure_has_a_name_a_description_and_its_numbers_as_a_table(trained, tmp_path):
    page = report_of(trained.checkpoint, trained.data, tmp_path)
    ids = [found["id"] for _, found in page.tags if "id" in found]
    assert len(ids) == len(set(ids))
    figures = [found for tag, found in page.tags if tag == "svg" and found.get("role") == "img"]
    assert (
        len(figures) == 1 + 2 + 1 + 1 + 1 + 2
    )  # a hundred dots, accuracy and ranks, calibration, risk, confusions, training
    assert all(label in ids for found in figures for label in (found["aria-labelledby"] or "").split())
    assert page.text.count("Numbers of this figure") == len(figures) - 1
    hidden = [found for tag, found in page.tags if tag == "svg" and found.get("role") != "img"]
    assert all("swatch" in (found.get("class") or "") for found in hidden)  # in a legend that is hidden from readers
    assert all(found.get("alt") for tag, found in page.tags if tag == "img")


def test_a_group_of_classes_is_reported_where_a_hierarchy_is_given(tmp_path):
    groups = {"cat": "mammal", "dog": "mammal", "owl": "bird"}
    page = report_of(Scores(), matrix_loader(MATRIX), tmp_path, class_names=NAMES, hierarchy=groups)
    right = 150 - (3 + 1 + 2 + 3)  # all but those between mammals and birds
    assert f"{right} of 150 images; 2 groups" in page.text
    assert f"{2 + 4} of 15 mistakes" in page.text
    assert "40 of 45 images, 1 class" in page.text


def test_a_classifier_of_two_classes_has_no_second_best(tmp_path):
    page = report_of(Scores(), matrix_loader([[8, 2], [1, 9]]), tmp_path, class_names=["yes", "no"])
    assert page.classes["yes"] == ["10", "0.800", f"{8 / 9:.3f}", f"{2 * 8 / 19:.3f}", "no (2)", "fair"]
    assert "rank 2 to 1" not in page.text


def test_a_folder_of_test_images_is_read_by_the_names_of_its_folders(trained, tmp_path):
    folder = tmp_path / "photos"
    for index, name in enumerate(trained.data.class_names[:3]):
        (folder / name).mkdir(parents=True)
        trained.data.pictures("test", [index])[0].save(folder / name / f"{HOSTILE[0]} {index}.png")
    page = report_of(trained.checkpoint, folder, tmp_path)
    assert "of 3 images" in page.text
    assert f"3 images in {folder}, one folder a class" in page.text
    assert page.text.count(HOSTILE[0]) >= 3
    split = tmp_path / "split"
    for part in ("train", "val", "test"):
        for index, name in enumerate(trained.data.class_names[:3]):
            (split / part / name).mkdir(parents=True)
            trained.data.pictures(part, [index])[0].save(split / part / name / "a.png")
    page = report_of(trained.checkpoint, split, tmp_path)
    assert f"{split}: one folder a class, 3 train, 3 val, 3 test" in page.text
    assert "A temperature of " in page.text


class Redness(nn.Module):
    """Score "green" and "red" by the mean of the channels."""

    def forward(self, images):
        return images.mean((2, 3))[:, [1, 0]]


def test_training_is_held_against_validation_not_against_the_test(tmp_path):
    for split, swapped in (("train", False), ("val", True), ("test", False)):
        for colour in ("green", "red"):
            shown = {"green": "red", "red": "green"}[colour] if swapped else colour
            (tmp_path / split / colour).mkdir(parents=True)
            Image.new("RGB", (8, 8), shown).save(tmp_path / split / colour / "a.png")
    options = {"class_names": ["green", "red"], "preprocessing": Preprocessing(8, (0.5,) * 3, (0.5,) * 3)}
    page = report_of(Redness(), tmp_path, tmp_path, k=1, **options)
    assert "The first guess is right for 2 of 2 images" in page.text
    assert "the accuracy on training images is 100 %, on validation images 0 %, 100 points lower." in page.text


class Files(Dataset):
    """As torchvision's ImageFolder: `samples` and `classes`."""

    def __init__(self, folder):
        self.classes = NAMES
        self.samples = [(str(folder / f"{HOSTILE[1]}{index}.png"), index % 3) for index in range(6)]
        for path, _ in self.samples:
            Image.new("RGB", (300, 200), "red").save(path)

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return torch.eye(3)[(self.samples[index][1] + 1) % 3].view(1, 1, 3).expand(3, 1, 3), self.samples[index][1]


def test_any_loader_is_read_in_the_order_of_its_files_even_if_it_shuffles(tmp_path):
    data = Files(tmp_path)
    page = report_of(Scores(), DataLoader(data, batch_size=4, shuffle=True, drop_last=True), tmp_path, hard_images=6)
    assert "The first guess is right for 0 of 6 images" in page.text
    assert [line for line in re.findall(r"[^/]*\d\.png", page.text) if HOSTILE[1] in line]
    assert list(page.classes) == NAMES  # the data set's own names, where the model has none


def test_a_loss_of_precision_or_order_does_not_happen_on_the_way(tmp_path):
    logits, target = torch.randn(200, 7, generator=torch.Generator().manual_seed(0)).double(), torch.arange(200) % 7
    model = TrainedModel.load(Scores())
    found = Evaluator(model, 7).evaluate(images_of_loader(loader_of(logits, target), model), 3)
    rows = logits.softmax(1)
    for index in range(200):
        order = sorted(range(7), key=lambda label: (-float(logits[index, label]), label))
        assert int(found.rank[index]) == order.index(int(target[index]))
        assert found.best[index].tolist() == order[:3]
        assert torch.allclose(found.probability[index], rows[index, order[:3]].float())
        assert float(found.loss[index]) == pytest.approx(-float(rows[index, target[index]].log()), rel=1e-6)


def test_a_thousand_classes_and_fifty_thousand_images_stay_small(thousand):
    path, kept = thousand
    assert path.stat().st_size < 1_000_000  # 10 MB were allowed
    assert kept <= 100  # bytes an image
    page = Page(path)
    assert len(page.classes) == 1000
    assert "of 50,000 images" in page.text


def wrong(model, data, tmp_path, **options):
    with pytest.raises((TypeError, ValueError, FileNotFoundError)) as caught:
        write_report(model, data, options.pop("out", tmp_path / "report.html"), **options)
    return str(caught.value)


def test_what_cannot_be_reported_is_said_in_one_sentence(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good, names = matrix_loader(MATRIX), trained.data.class_names
    empty = DataLoader(TensorDataset(torch.zeros(0, 3, 1, 3), torch.zeros(0, dtype=torch.int64)))
    assert wrong(Scores(), empty, tmp_path) == "data must hold at least one test image, got none."
    assert wrong(Scores(), [1], tmp_path) == (
        "data must be a data module with one test DataLoader, a DataLoader, or a folder of test images, got list."
    )
    assert (
        wrong(Scores(), good, tmp_path, out="report.pdf") == "out must be the name of an .html file, got 'report.pdf'."
    )
    two = {"class_names": ["a", "b"]}
    assert wrong(Scores(), good, tmp_path, **two) == "class_names must hold 3 names, one a class, got 2."
    assert wrong(trained.checkpoint, good, tmp_path, **two) == "class_names must hold 24 names, one a class, got 2."
    assert wrong(nn.MaxPool2d((1, 3), return_indices=True), good, tmp_path) == (
        "network must return logits of shape (1, C), got tuple. "
        "Switch its auxiliary outputs off, or wrap it in a module that returns the logits alone."
    )
    assert wrong(nn.Identity(), good, tmp_path) == (
        "network must return logits of shape (1, C), got (1, 3, 1, 3). Give its last layer C outputs, one a class."
    )
    assert (
        wrong(Scores(), good, tmp_path, epoch_table="no.csv") == "epoch_table must be an existing file, got 'no.csv'."
    )
    assert wrong("no.ckpt", good, tmp_path) == "model must be an existing checkpoint or an nn.Module, got 'no.ckpt'."
    (tmp_path / "other.ckpt").write_bytes(b"PK")
    assert wrong("other.ckpt", good, tmp_path).startswith(
        "model must be a checkpoint that TopKClassifier saved, got 'other"
    )
    assert wrong(trained.checkpoint, tmp_path / "none", tmp_path) == (
        f"root must hold the folder {tmp_path / 'none'}, got no such folder."
    )
    (tmp_path / "empty").mkdir()
    assert wrong(trained.checkpoint, "empty", tmp_path) == "data must hold a folder for each class in empty, got none."
    (tmp_path / "empty" / names[0]).mkdir()
    assert wrong(trained.checkpoint, "empty", tmp_path) == "data must hold at least one test image, got none in empty."
    near = names[0] + "s"
    (tmp_path / "empty" / near).mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "empty" / near / "a.png")
    assert wrong(trained.checkpoint, "empty", tmp_path) == (
        f"data must hold classes of the model only, got {near!r}. Did you mean {names[0]!r}?"
    )
    assert wrong(nn.Flatten(), "empty", tmp_path) == (
        "class_names must be given to read a folder of classes, got None. The model does not name its classes."
    )


def test_data_of_another_model_is_refused(trained, tmp_path):
    other, first = TopKClassifier("small_cnn", num_classes=5), trained.data.class_names[0]
    assert wrong(other, trained.data, tmp_path) == (
        "data must have the 5 classes of the model, got 24. Is this the checkpoint of another model?"
    )
    assert wrong(other, trained.data, tmp_path, class_names=list("abcde")) == (
        f"data must hold classes of the model only, got {first!r}. The model's classes are 'a', 'b', 'c', 'd', 'e'."
    )
    half = Preprocessing(32, (0.5,) * 3, (0.5,) * 3)
    assert wrong(trained.classifier, trained.data, tmp_path, preprocessing=half) == (
        f"data must prepare images as the model was trained ({half}), got {trained.data.preprocessing}. "
        "Give the data module the image_size, resize and statistics of the training."
    )


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "{broken", '{"epoch": 1}'])
def test_a_file_that_is_no_table_of_epochs_is_named(text, tmp_path):
    for suffix in (".csv", ".json"):
        path = tmp_path / f"epochs{suffix}"
        path.write_text(text)
        sentence = wrong(Scores(), matrix_loader(MATRIX), tmp_path, epoch_table=path)
        assert sentence == f"epoch_table must be a .csv or .json file that TrainingTrace wrote, got {str(path)!r}."
