"""report on the command line: which data it tests on, what it writes, and what it says of mistakes."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from topk_lightning import EmojiDataModule, TrainedModel
from topk_lightning._checks import InvalidValueError
from topk_lightning.cli import main
from topk_lightning.cli._trained_data import trained_data

# Lightning's command line on newer versions of what it uses.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A folder in which ``fit`` left its checkpoint, its config.yaml and its table of epochs."""
    root = tmp_path_factory.mktemp("fitted")
    words = [
        "fit",
        "--seed_everything",
        "7",
        "--data.classes",
        "6",
        "--data.image_size",
        "32",
        "--data.batch_size",
        "6",
    ]
    trainer = {"max_epochs": 2, "default_root_dir": root, "accelerator": "cpu", "enable_model_summary": False}
    words += [word for name, value in trainer.items() for word in (f"--trainer.{name}", str(value))]
    assert main(words) == 0
    (checkpoint,) = root.rglob("last.ckpt")
    return checkpoint


def report(words, tmp_path, capsys):
    out = tmp_path / "new folder" / "page.html"
    capsys.readouterr()
    assert main(["report", *map(str, words), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"report: {out}\n"
    return out.read_text()


def test_without_data_it_tests_on_what_the_training_had(fitted, tmp_path, capsys):
    page = report([fitted], tmp_path, capsys)
    assert "6 classes, 42 images (30 train, 6 val, 6 test) at 32×32 pixels" in page
    assert "<dt>Seed</dt><dd>7</dd>" in (fitted.parent / "report.html").read_text()
    assert f"<code>topk-lightning report {fitted} --out &#39;" in page
    assert "Loss by epoch" in page  # from the table in the checkpoint


def test_without_a_configuration_the_names_of_the_classes_tell_the_emoji(fitted, tmp_path, capsys):
    alone = tmp_path / "alone.ckpt"
    alone.write_bytes(fitted.read_bytes())
    page = report([alone, "--k", "2", "--title", "Alone & <b>"], tmp_path, capsys)
    assert "6 classes, 42 images (30 train, 6 val, 6 test) at 32×32 pixels" in page
    assert "<h1>Alone &amp; &lt;b&gt;</h1>" in page
    assert "right at rank 2 to 2" in page


def test_data_may_be_a_folder_a_configuration_or_the_emoji(fitted, tmp_path, capsys):
    data = EmojiDataModule(32, classes=6)
    photos = tmp_path / "photos"
    for name, picture in zip(data.class_names, data.pictures("test"), strict=True):
        (photos / name).mkdir(parents=True)
        picture.save(photos / name / "a.png")
    groups = tmp_path / "groups.csv"
    groups.write_text("".join(f"{name},{index % 2}\n" for index, name in enumerate(data.class_names)))
    page = report([fitted, "--data", photos, "--hierarchy", groups, "--hard-images", "1"], tmp_path, capsys)
    assert f"6 images in {photos}, one folder a class" in page
    assert "Accuracy by group" in page
    assert page.count("<img ") <= 2
    for given in ("emoji", fitted.parent / "config.yaml"):
        assert "42 images" in report([fitted, "--data", given], tmp_path, capsys)


def sentence(words, capsys):
    capsys.readouterr()
    assert main(["report", *map(str, words)]) == (2 if "page.pdf" in words else 1)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    return said.err.removeprefix("error: ").strip()


def test_mistakes_are_said_in_one_sentence(fitted, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sentence(["no.ckpt"], capsys) == "checkpoint must be an existing file or the folder of a run, got 'no.ckpt'."
    assert sentence([fitted, "--out", "page.pdf"], capsys) == "out must be the name of an .html file, got 'page.pdf'."
    assert sentence([fitted, "--data", "none"], capsys) == "root must hold the folder none, got no such folder."
    (tmp_path / "other.ckpt").write_bytes(b"no checkpoint")
    assert sentence(["other.ckpt"], capsys).startswith("model must be a checkpoint that TopKClassifier saved, got ")
    for text in ("trainer: {}", "{", "data: 3"):
        (tmp_path / "some.yaml").write_text(text)
        assert sentence([fitted, "--data", "some.yaml"], capsys) == (
            "--data must be a yaml file with data.class_path, as fit saves it, got 'some.yaml'."
        )
    unknown = torch.load(fitted, weights_only=True)
    del unknown["training_data"]
    unknown["hyper_parameters"]["class_names"] = [f"breed {index}" for index in range(6)]
    torch.save(unknown, "unknown.ckpt")
    assert sentence(["unknown.ckpt"], capsys) == (
        "--data must be given for unknown.ckpt, which does not say what it was trained on, got None. "
        "Pass a folder of test images (one folder a class), a yaml file of fit, or emoji."
    )
    assert sentence(["unknown.ckpt", "--data", "emoji"], capsys) == (
        "data must hold classes of the model only, got 'skull'. "
        "The model's classes are 'breed 0', 'breed 1', 'breed 2', 'breed 3', 'breed 4' and 1 more."
    )
    assert not list(tmp_path.glob("*.html"))


def test_a_configuration_beside_a_checkpoint_is_not_read(fitted, tmp_path, capsys):
    (tmp_path / "strange").mkdir()
    checkpoint = tmp_path / "strange" / "best.ckpt"
    checkpoint.write_bytes(fitted.read_bytes())
    mark = tmp_path / "mark"
    for path in ("os.system", "subprocess.call"):
        text = f'data:\n  class_path: {path}\n  init_args: {{command: "touch {mark}"}}\n'
        (checkpoint.parent / "config.yaml").write_text(text)
        assert "42 images" in report([checkpoint], tmp_path, capsys)
        said = sentence([checkpoint, "--data", checkpoint.parent / "config.yaml"], capsys)
        assert said.startswith("class_path must be one of topk_lightning.data.")
    assert not mark.exists()


def said_of_data(**arguments):
    """A model whose checkpoint says this of its data."""
    options = {"class_path": "topk_lightning.data.TorchvisionDataModule", "init_args": arguments}
    return TrainedModel(torch.nn.Flatten(), training_data={"training_data": {"options": options}})


def test_nothing_is_downloaded_because_a_checkpoint_says_so(tmp_path):
    said = {"name": "MNIST", "root": str(tmp_path), "download": True, "options": {"download": True, "split": "x"}}
    data = trained_data(None, said_of_data(**said))
    assert (data.download, data.options) == (False, {"split": "x"})


def test_what_no_data_takes_is_one_sentence():
    with pytest.raises(
        InvalidValueError, match=r"^data must be built as the checkpoint says, got .*unexpected keyword"
    ):
        trained_data(None, said_of_data(name="MNIST", root=".", nonsense=1))


def test_a_page_that_cannot_be_written_is_said_before_the_test(fitted, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr("topk_lightning.report.write_report", None)  # it is not reached
    out = tmp_path / "file" / "page.html"
    assert sentence([fitted, "--out", out], capsys) == (
        f"--out must be a file that can be written, got '{out}' (Not a directory)."
    )


def test_unreadable_images_are_named_at_the_end_and_the_status_is_1(fitted, tmp_path, capsys):
    photos, names = tmp_path / "photos", EmojiDataModule(classes=6).class_names
    for number, name in enumerate(names):
        (photos / name).mkdir(parents=True)
        Image.new("RGB", (40, 40), (40 * number, 90, 30)).save(photos / name / "good.png")
    (photos / names[0] / "cut\x1b[31m.jpg").write_bytes(b"\xff\xd8\xff")
    Image.new("RGB", (1_000_000, 1)).save(photos / names[1] / "strip.png")  # resized it would fill the memory
    out = tmp_path / "report.html"
    capsys.readouterr()
    assert main(["report", str(fitted), "--data", str(photos), "--out", str(out)]) == 1
    said = capsys.readouterr()
    assert said.out == f"report: {out}\n"
    assert said.err.startswith("error: data must be readable, got 2 images that cannot be read: ")
    assert said.err.endswith(". A yaml file as --data, with a larger max_pixels, lets larger ones in.\n")
    assert "\x1b" not in said.err
    assert "2 images could not be read, and are left out" in out.read_text()
