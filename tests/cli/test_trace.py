"""``topk-lightning trace``: the real command, in this process."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from topk_lightning import EmojiDataModule, TopKClassifier, predict_topk
from topk_lightning.cli import main


@pytest.fixture(scope="module")
def fruit(tmp_path_factory):
    """A checkpoint that was never trained, and two of its test pictures."""
    folder = tmp_path_factory.mktemp("fruit")
    data = EmojiDataModule(classes=["food-fruit"], image_size=32)
    data.setup("test")
    model = TopKClassifier("small_cnn", class_names=data.class_names, preprocessing=data.preprocessing.to_dict())
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(folder / "fruit.ckpt")
    (folder / "pictures").mkdir()
    for name, picture in zip(("grapes", "melon"), data.pictures("test", [0, 1]), strict=True):
        picture.save(folder / "pictures" / f"{name}.png")
    return folder


def run(fruit, *words):
    return main(["trace", str(fruit / "fruit.ckpt"), *map(str, words)])


def test_layers_probabilities_and_the_true_class_are_shown(fruit, capsys):
    file = fruit / "pictures" / "melon.png"
    assert run(fruit, file, "--target", "melon", "--k", 14) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("layer ")
    assert "features.0.0  Conv2d" in shown
    assert "Softmax turns 14 logits from" in shown
    best = predict_topk(fruit / "fruit.ckpt", file, k=14)
    rank = [p.label for p in best].index("melon") + 1
    assert shown.rstrip().endswith(f"The true class 'melon' has rank {rank} of 14: within the top 14.")
    for prediction in best:
        assert f"{prediction.probability:.3f}" in shown
    assert "\x1b" not in shown


def test_without_a_true_class_there_is_no_verdict(fruit, capsys):
    assert run(fruit, fruit / "pictures" / "melon.png") == 0
    assert "true class" not in capsys.readouterr().out


def test_the_picture_is_written_also_into_a_new_folder(fruit, tmp_path, capsys):
    out = tmp_path / "new" / "trace.png"
    assert run(fruit, fruit / "pictures" / "melon.png", "--picture", out, "--target", "1") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("layer ")
    assert shown.endswith(f"\npicture: {out}\n")
    with Image.open(out) as image:
        assert image.format == "PNG"


def test_mistakes_end_in_one_sentence(fruit, capsys):
    melon = fruit / "pictures" / "melon.png"
    cases = [
        ((melon, "--picture", "trace.jpg"), 2, "--picture must end in .png, got 'trace.jpg'."),
        (("none.png",), 1, "image must be existing files or folders, got 'none.png'."),
        ((melon, "--target", "meln"), 1, "target must be the name of a class, got 'meln'. Did you mean 'melon'?"),
    ]
    for words, status, sentence in cases:
        assert run(fruit, *words) == status
        shown = capsys.readouterr()
        assert shown.err == f"error: {sentence}\n"
        assert shown.out == ""


def too_narrow():
    """Return a network for images of 16 × 16, where those of the checkpoint are 32 × 32."""
    return torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.Flatten(), torch.nn.Linear(2 * 14 * 14, 3))


def test_the_layer_that_does_not_fit_the_image_is_one_sentence_after_the_layers_before_it(fruit, tmp_path, capsys):
    checkpoint = torch.load(fruit / "fruit.ckpt", weights_only=True)
    checkpoint["state_dict"] = {f"network.{name}": value for name, value in too_narrow().state_dict().items()}
    checkpoint["hyper_parameters"]["class_names"] = ["a", "b", "c"]
    torch.save(checkpoint, tmp_path / "narrow.ckpt")
    words = ["trace", tmp_path / "narrow.ckpt", fruit / "pictures" / "melon.png"]
    assert main([*map(str, words), "--network", "tests.cli.test_trace:too_narrow"]) == 1
    out, err = capsys.readouterr()
    said = "layer '2' (Linear) must have in_features = 2·30·30 = 1800 for images of 3 × 32 × 32, got 392."
    assert err == f"error: {said}\n"
    assert "Conv2d" in out


def test_predict_answers_the_images_that_can_be_read_and_ends_with_status_1(fruit, tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "folder" / "a.png")
    (tmp_path / "folder" / "b.png").write_bytes(b"no image")
    assert main(["predict", str(fruit / "fruit.ckpt"), str(tmp_path / "folder"), "--format", "csv"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[1].startswith(f"{tmp_path / 'folder' / 'a.png'},1,")
    assert "b.png," not in out
    broken = tmp_path / "folder" / "b.png"
    assert err == f"error: images must be readable, got 1 of 2 that are not: {str(broken)!r}.\n"


def test_escape_sequences_and_direction_marks_of_names_do_not_reach_the_terminal(fruit, tmp_path, capsys):
    evil = tmp_path / "\x1b]0;title\x07\u202egnp.png"
    Image.new("RGB", (8, 8)).save(evil)
    assert main(["predict", str(fruit / "fruit.ckpt"), str(evil), "--k", "1"]) == 0
    (tmp_path / "\x1b[31mbroken.png").write_bytes(b"no image")
    assert main(["predict", str(fruit / "fruit.ckpt"), str(tmp_path), "--k", "1"]) == 1
    out, err = capsys.readouterr()
    assert r"\x1b]0;title" in out.replace("\n", "")
    assert r"\x1b[31mbroken.png" in err
    for text in (out, err):
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
