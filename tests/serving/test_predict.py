"""POST /predict answers as predict_topk does, for every kind of picture and for fifty clients at once."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.serving.servers import running
from topk_lightning.decisions import ClassList, ReviewPlan
from topk_lightning.prediction import Decider, TrainedModel, predict_answers, predict_topk, save_fitted
from topk_lightning.serving import create_app

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8), "RGB").resize(
    (180, 120)
)
TURNED = Image.Exif()
TURNED[0x0112] = 6  # to be turned by 90 degrees

# Name of the file, the picture, and how it is saved.
KINDS = {
    "photo.jpg": (PHOTO, {"quality": 90}),
    "turned.jpg": (PHOTO, {"exif": TURNED}),
    "cmyk.jpg": (PHOTO.convert("CMYK"), {}),
    "grey.jpg": (PHOTO.convert("L"), {}),
    "clear.png": (PHOTO.convert("RGBA").resize((70, 70)), {}),
    "palette.png": (PHOTO.quantize(16), {}),
    "deep.png": (Image.fromarray(np.arange(10000, dtype=np.uint16).reshape(100, 100) * 6), {}),
    "bits.png": (PHOTO.convert("1"), {}),
    "one.png": (PHOTO.crop((5, 5, 6, 6)), {}),
    "still.gif": (PHOTO, {}),
    "moving.gif": (PHOTO, {"save_all": True, "append_images": [PHOTO.rotate(90), PHOTO.rotate(180)]}),
    "moving.webp": (PHOTO, {"save_all": True, "append_images": [PHOTO.rotate(90)], "lossless": True}),
    "photo.bmp": (PHOTO, {}),
    "photo.tiff": (PHOTO, {}),
    "photo.ppm": (PHOTO, {}),
    "wide.png": (PHOTO.resize((600, 6)), {}),
}


def post(address, data, name="picture", **options):
    return httpx.post(f"{address}/predict", files={"image": (name, data)}, timeout=30, **options)


def named(predictions):
    return [
        {"class": p.label, "index": p.index, "probability": pytest.approx(p.probability, abs=1e-6)} for p in predictions
    ]


@pytest.mark.parametrize("name", KINDS)
def test_the_answer_is_that_of_predict_topk(address, checkpoint, tmp_path, name):
    picture, options = KINDS[name]
    picture.save(tmp_path / name, **options)
    answer = post(address, (tmp_path / name).read_bytes(), "a name that says nothing")
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"predictions": named(predict_topk(checkpoint, tmp_path / name, k=3))}


def test_fifty_clients_get_each_their_own_answer(checkpoint, emoji):
    pictures = [*emoji.pictures("test", range(12)), *emoji.pictures("val", range(12))] * 2
    pictures += [PHOTO.rotate(angle) for angle in (0, 90)]
    files = [io.BytesIO() for _ in pictures]
    for file, picture in zip(files, pictures, strict=True):
        picture.save(file, "PNG")
    ks = [1 + place % 12 for place in range(50)]
    with running(create_app(checkpoint, batch_size=16)) as url, ThreadPoolExecutor(50) as pool:
        ask = lambda file, k: post(url, file.getvalue(), params={"k": k}).json()  # noqa: E731
        answers = list(pool.map(ask, files, ks))
    for answer, picture, k in zip(answers, pictures, ks, strict=True):
        assert answer == {"predictions": named(predict_topk(checkpoint, picture, k))}


@pytest.mark.parametrize(
    ("k", "sentence"),
    [
        ("x", "k must be an integer, got 'x'."),
        ("", "k must be an integer, got ''."),
        ("2.0", "k must be an integer, got '2.0'."),
        ("0", "k must be at least 1, got 0."),
        ("13", "k must be at most the number of classes (12), got 13. Use a smaller k."),
        ("9" * 5000, f"k must be an integer, got '{'9' * 40}'."),
    ],
)
def test_a_wrong_k_is_refused(address, k, sentence):
    answer = post(address, b"", params={"k": k})
    assert (answer.status_code, answer.json()) == (400, {"error": sentence})


def test_health_says_how_many_classes_and_requests(address):
    assert httpx.get(f"{address}/health").json() == {"status": "ok", "classes": 12, "requests": 0}


def test_possible_classes_piles_and_levels_are_in_the_answer(checkpoint, emoji, tmp_path):
    names = emoji.class_names
    groups = {name: f"kind {index % 3}" for index, name in enumerate(names)}
    path = tmp_path / "model.ckpt"
    path.write_bytes(checkpoint.read_bytes())
    allowed = ClassList.of(names[3:9], names)
    plan = ReviewPlan(0.0, 0.0, 2, 0.05, "all", 0.95, 100, 6)
    save_fitted(path, classes=allowed, plan=plan)
    picture = tmp_path / "a.png"
    emoji.pictures("test", [5])[0].save(picture)
    with running(create_app(path, k=2, sure=0.99, hierarchy=groups, classes=names[3:9])) as url:
        answer = post(url, picture.read_bytes()).json()
        assert httpx.get(f"{url}/health").json()["classes"] == 6
        assert post(url, picture.read_bytes(), params={"k": 7}).status_code == 400
    model = TrainedModel.load(path).only(names[3:9])
    expected = predict_answers(model, picture, Decider.of(model, k=2, sure=0.99, hierarchy=groups))
    assert answer == {
        "predictions": named(expected.predictions),
        "pile": "accept",
        "sure": {
            "level": expected.sure.level,
            "name": expected.sure.label,
            "levels": [
                {"level": level, "name": name, "probability": pytest.approx(p, abs=1e-6)}
                for level, name, p in expected.sure.by_level
            ],
        },
    }
    assert all(3 <= each["index"] < 9 for each in answer["predictions"])
