"""Images that cannot be read end no command: the others are answered, these are named at the end, and the status is 1."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import re
import shutil
import sys
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

from topk_lightning import ImageFolderDataModule, TopKClassifier
from topk_lightning.cli import main
from topk_lightning.cli._console import write_data
from topk_lightning.data import BadImageError, BadImageWarning
from topk_lightning.report import score_images
from topk_lightning.scores import Scores, read_scores, write_scores

pytestmark = [
    pytest.mark.filterwarnings("ignore::topk_lightning.data.BadImageWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Lightning's command line
]

EVIL, SHOWN = "e\x1b]0;owned\x07\u202evil", r"e\x1b]0;owned\x07\u202evil"
UNREADABLE = ["cut.jpg", "float.tif", "postscript.png", "strip.png"]


def spoil(folder: Path) -> None:
    """Put the four unreadable ones into a folder."""
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert("RGB").save(whole, "JPEG")
    (folder / "cut.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    Image.new("F", (8, 8)).save(folder / "float.tif")
    (folder / "postscript.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    Image.new("1", (1_000_000, 1)).save(folder / "strip.png")  # cut to a square of 16 it would take a gigabyte


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model, and photos of its classes, of which the test holds four that cannot be read."""
    place = tmp_path_factory.mktemp("place")
    torch.manual_seed(0)
    for number, (split, name) in enumerate((s, n) for s in ("train", "val", "test") for n in ("ant", "bee", EVIL)):
        folder = place / "photos" / split / name
        folder.mkdir(parents=True)
        for index in range(4):
            pixels = torch.randint(256, (16, 16, 3), generator=torch.Generator().manual_seed(10 * number + index))
            Image.fromarray(pixels.byte().numpy()).save(folder / f"{index}.png")
    spoil(place / "photos" / "test" / "bee")
    preprocessing = {"image_size": 16, "mean": [0.5] * 3, "std": [0.5] * 3}
    TopKClassifier(class_names=["ant", "bee", EVIL], preprocessing=preprocessing).save(place / "model.ckpt")
    init = f"init_args:\n    root: {place / 'photos'}\n    image_size: 16\n    num_workers: 0\n"
    (place / "data.yaml").write_text(f"data:\n  class_path: ImageFolderDataModule\n  {init}".replace("class_path: ", "class_path: topk_lightning."))  # fmt: skip
    return place


@contextlib.contextmanager
def within(folder: Path):
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.mark.parametrize(
    ("words", "data"),
    [
        (["sets", "model.ckpt", "--by-class"], "photos"),
        (["calibrate", "model.ckpt"], "photos"),
        (["review", "model.ckpt", "--target-error", "0.9"], "data.yaml"),
        (["compare", "model.ckpt", "model.ckpt"], "photos"),
        (["compare", "model.ckpt", "model.ckpt", "--out", "both.html"], "data.yaml"),
        (["test", "model.ckpt", "--save-scores", "scores.npz"], "data.yaml"),
        (["test", "model.ckpt", "--classes", "classes.txt"], "data.yaml"),
        (["report", "model.ckpt"], "photos"),
    ],
    ids=lambda given: given if isinstance(given, str) else given[0],
)
def test_a_command_answers_the_rest_and_names_them_at_the_end(place, words, data, capsys):
    (place / "classes.txt").write_text(f"bee\n{EVIL}\n", encoding="utf-8")
    with within(place):
        assert main([*words, "--data", data]) == 1
    said = capsys.readouterr()
    assert said.out
    last = said.err.splitlines()[-1]
    assert last.startswith("error: data must be readable, got 4 images that cannot be read: '")
    for name in UNREADABLE:
        assert f"test/bee/{name}'" in last
    assert last.endswith(" A yaml file as --data, with a larger max_pixels, lets larger ones in.")
    assert "\x1b" not in said.out + said.err
    assert "\u202e" not in said.out + said.err
    if words[0] == "sets":
        assert f"too few images for a threshold of their own: ant, bee, {SHOWN}." in said.out


def test_one_image_at_a_time_is_refused_by_its_size_with_the_option(place, capsys):
    with within(place):
        assert main(["trace", "model.ckpt", "photos/test/bee/strip.png"]) == 1
        assert capsys.readouterr().err.endswith(" A larger --max-pixels lets it in.\n")
        assert main(["predict", "model.ckpt", "photos/test", "--format", "csv"]) == 1
    said = capsys.readouterr()
    assert said.out.count("\n") == 1 + 3 * 12
    assert said.err.startswith("error: images must be readable, got 4 of 16 that are not: ")
    assert said.err.endswith(". A larger --max-pixels lets 1 of them in.\n")


@pytest.mark.parametrize(
    ("name", "reason", "way_out"),
    [
        ("cut.jpg", r" must be a readable image, got OSError \(.+\)\. ", "{skip} leaves it out."),
        (
            "strip.png",
            r" must have at most [0-9,]+ pixels, got .+\. ",
            "A larger {larger} lets it in, {skip} leaves it out.",
        ),
    ],
)
def test_a_training_names_the_way_out_of_an_unreadable_image(
    place, tmp_path, capsys, monkeypatch, name, reason, way_out
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(place / "photos" / "train", "photos")
    shutil.copy(place / "photos" / "test" / "bee" / name, "photos/bee")
    options = ["--image-size", "16", "--epochs", "1", "--batch-size", "4", "--device", "cpu", "--report", "false"]
    assert main(["fit", "photos", *options]) == 1
    said = capsys.readouterr().err
    by_options = way_out.format(skip="--data.on_bad_image skip", larger="--data.max_pixels")
    assert re.fullmatch(f"error: \\S*{re.escape(name)}{reason}{re.escape(by_options)}\n", said), said
    assert main(["fit", "photos", *options, "--data.on_bad_image", "skip"]) == 0
    data = ImageFolderDataModule("photos", image_size=16, num_workers=0)
    with pytest.raises(BadImageError) as raised:
        data.setup()
    by_arguments = way_out.format(skip='on_bad_image="skip"', larger="max_pixels")
    assert str(raised.value).endswith(f". {by_arguments}")
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


def test_scores_of_images_name_the_unreadable_or_raise_as_asked(place):
    folder = place / "photos"
    with pytest.warns(BadImageWarning, match=r"^4 unreadable images were skipped: .*cut\.jpg.*strip\.png\.$"):
        scores = score_images(place / "model.ckpt", folder)
    assert len(scores) == 12
    assert [Path(name).name for name in scores.unreadable] == UNREADABLE
    assert "larger max_pixels" in scores.unreadable[str(folder / "test" / "bee" / "strip.png")]
    with pytest.raises(ValueError, match=r"cut\.jpg must be a readable image"):
        score_images(place / "model.ckpt", folder, on_bad_image="raise")
    data = ImageFolderDataModule(folder, image_size=16, num_workers=0, on_bad_image="skip", statistics=[[0.5] * 3] * 2)
    assert sorted(score_images(place / "model.ckpt", data).unreadable) == [f"test/bee/{name}" for name in UNREADABLE]
    assert data.skipped == list(data.unreadable) == [f"test/bee/{name}" for name in UNREADABLE]
    assert "larger max_pixels" in data.unreadable["test/bee/strip.png"]
    assert score_images(place / "model.ckpt", folder, "val").unreadable == {}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text_in_utf_8_ends_no_table(place, tmp_path, capsys):
    """Python keeps its bytes as halves of pairs, which no encoding has."""
    name = os.fsdecode(b"caf\xe9.png")
    written = "caf\\udce9.png"
    Image.new("RGB", (8, 8)).save(tmp_path / name)
    with within(tmp_path):
        words = ["predict", str(place / "model.ckpt"), name]
        for out in ("a.csv", "a.jsonl"):
            assert main([*words, "--out", out]) == 0
        capsys.readouterr()
        assert main([*words, "--format", "json"]) == 0
        (answer,) = json.loads(capsys.readouterr().out)
    assert answer["image"] == name
    assert json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])["image"] == name
    assert (tmp_path / "a.csv").read_text().splitlines()[1].startswith(f"{written},1,")
    scores = Scores(numpy.eye(2), [0, 1], kind="logits", ids=[name, "b"], class_names=[name, "x"])
    for suffix in (".csv", ".npz", ".parquet"):
        if suffix == ".parquet":
            pyarrow = pytest.importorskip("pyarrow.parquet")
            assert main([*words[:2], str(tmp_path / name), "--out", str(tmp_path / "a.parquet")]) == 0
            assert pyarrow.read_table(tmp_path / "a.parquet")["image"][0].as_py() == f"{tmp_path}/{written}"
        write_scores(scores, tmp_path / f"scores{suffix}")
        read = read_scores(tmp_path / f"scores{suffix}")
        assert read.ids[0] == (name if suffix == ".npz" else written)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_class_whose_name_is_no_text_in_utf_8_is_trained_and_reported(tmp_path, capsys):
    for number, name in enumerate((b"caf\xe9", b"tea", "thé".encode())):
        (folder := tmp_path / "photos" / os.fsdecode(name)).mkdir(parents=True)
        for index in range(8):
            Image.new("RGB", (8, 8), (80 * number, 10 * index, 90)).save(folder / f"{index}.png")
    with within(tmp_path):
        assert main(["fit", "photos", "--image-size", "16", "--epochs", "1", "--device", "cpu", "--out", "run"]) == 0
        assert main(["sets", "run", "--by-class", "--coverage", "0.5", "--out", "sets.json"]) == 0
        assert main(["export", "run", "--format", "hf", "--out", "exported"]) == 0
        assert main(["predict", "run", "photos/tea/0.png"]) == 0
    assert "caf\\udce9" in capsys.readouterr().out
    assert (
        os.fsdecode(b"caf\xe9") in json.loads((tmp_path / "exported" / "config.json").read_text())["id2label"].values()
    )
    assert "caf\\udce9" in (tmp_path / "run" / "classes.csv").read_text()


def test_data_for_programs_come_as_they_are_and_act_on_no_terminal(capfdbinary, monkeypatch):
    data = f"{EVIL},é\r\n".encode()
    write_data(data)
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == data
    if sys.platform == "win32":
        pytest.skip("no terminals are made here")
    reader, writer = os.openpty()
    with os.fdopen(writer, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        write_data(data)
        terminal.flush()
        assert os.read(reader, 1000).decode().rstrip("\r\n") == rf"{SHOWN},é\r"
    os.close(reader)
