"""Files of strangers: pictures, checkpoints, tables and names of any bytes and any text."""

from __future__ import annotations

import copy
import functools
import io
import json
import tempfile
import warnings
from pathlib import Path

import hypothesis.strategies as st
import torch
from hypothesis import given
from PIL import Image

from topk_lightning._checks import UserError
from topk_lightning._checks.class_names import check_class_names
from topk_lightning._files import read_archive
from topk_lightning.data import UnreadableImageError, load_image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
CHANGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=4)), max_size=6)

PREPROCESSING = {"image_size": 16, "mean": [0.5] * 3, "std": [0.5] * 3}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=6),
    max_leaves=20,
)
PATHS = st.sampled_from(
    [
        "os.system",
        "subprocess.Popen",
        "torch.nn.Linear",
        "torch.load",
        "timm/resnet10t",
        "resnet18",
        "small_cnn",
        "a:b",
        ".",
    ]
    + [f"topk_lightning.data.{name}DataModule" for name in ("Emoji", "ImageFolder", "Torchvision")]
)


def be_one_short_line(error: Exception) -> None:
    assert "\n" not in str(error)
    assert len(str(error)) < 500


def damaged(data: bytes, changes: list[tuple[float, bytes]], end: float) -> bytes:
    """Overwrite bytes at some places and cut the end off."""
    content = bytearray(data)
    for place, new in changes:
        start = int(place * len(content))
        content[start : start + len(new)] = new
    return bytes(content[: int(end * len(content)) + 1])


@functools.cache
def picture(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((23, 17), 60).convert("RGB").save(stream, kind)
    return stream.getvalue()


@functools.cache
def archive() -> bytes:
    stream = io.BytesIO()
    torch.save({"weights": torch.arange(200.0), "names": ["ant", "bee"]}, stream)
    return stream.getvalue()


@given(st.sampled_from(FORMATS), CHANGES, st.sampled_from([1.0, 1.0, 0.9, 0.5, 0.05]))
def every_picture_is_read_as_rgb_or_refused_in_one_line(kind, changes, end):
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about metadata
        path = Path(folder, f"picture.{kind.lower()}")
        path.write_bytes(damaged(picture(kind), changes, end))
        try:
            assert load_image(path).mode == "RGB"
        except UnreadableImageError as error:
            be_one_short_line(error)


@given(CHANGES, st.sampled_from([1.0, 1.0, 0.9, 0.5, 0.05]))
def every_archive_holds_the_same_numbers_or_is_refused(changes, end):
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")  # a file that lost its checksums would be told
        path = Path(folder, "model.ckpt")
        path.write_bytes(damaged(archive(), changes, end))
        try:
            content = read_archive(path, "model", "be a checkpoint")
        except (UserError, UserWarning):
            return
        assert torch.equal(content["weights"], torch.arange(200.0))
        assert content["names"] == ["ant", "bee"]


@functools.cache
def checkpoint() -> dict:
    from topk_lightning import SmallCNN, TopKClassifier

    classifier = TopKClassifier(SmallCNN(2, width=2), class_names=["ant", "bee"], preprocessing=PREPROCESSING)
    with tempfile.TemporaryDirectory() as folder:
        return torch.load(classifier.save(Path(folder, "model.ckpt")), weights_only=True)


@st.composite
def odd_checkpoints(draw):
    """A checkpoint in which something else stands in some places, as a stranger may write it."""
    content = copy.deepcopy(checkpoint())
    content["callbacks"] = {"TrainingTrace": {"rows": [{"epoch": 1}]}}
    for _ in range(draw(st.integers(1, 3))):
        holder = content
        while True:
            name = draw(st.sampled_from([*holder, "class_path", "init_args", "_instantiator"]))
            if not isinstance(holder.get(name), dict) or not holder[name] or draw(st.booleans()):
                break
            holder = holder[name]
        holder[name] = draw(st.one_of(JSON, PATHS, PATHS.map(lambda path: {"class_path": path})))
    return content


@given(odd_checkpoints())
def every_checkpoint_of_odd_content_is_loaded_or_refused_in_a_short_line(content):
    from topk_lightning import TrainedModel
    from topk_lightning.cli._trained_data import trained_data

    def data_of(path):
        return trained_data(None, TrainedModel.load(path))

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "model.ckpt")
        torch.save(content, path)
        try:
            data_of(path)
        except UserError as error:
            be_one_short_line(error)


@given(st.binary(max_size=300))
def every_file_of_any_bytes_is_refused_in_one_line(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.ckpt")
        path.write_bytes(data)
        try:
            read_archive(path, "model", "be a checkpoint")
        except UserError as error:
            be_one_short_line(error)


@given(JSON)
def every_json_is_taken_as_class_names_or_refused_in_a_short_line(value):
    value = json.loads(json.dumps(value))
    try:
        names = check_class_names(value)
    except UserError as error:
        be_one_short_line(error)
    else:
        assert all(isinstance(name, str) for name in names)
