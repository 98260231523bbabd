"""Requests to the served page: any form of any bytes is answered, and never by a failure of the server."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import tempfile

import hypothesis.strategies as st
from hypothesis import given

from tests.fuzz.files import CHANGES, FORMATS, damaged, picture

BOUNDARY = b"a-b"
HEADS = st.sampled_from(
    [b'name="image"; filename="a.png"', b'name="image"', b'name="k"', b'name="\xff"', b"", b"name=image; name=k"]
)
KINDS = st.sampled_from(
    ["multipart/form-data; boundary=a-b"] * 6 + ["multipart/form-data", "image/png", "", "a;b=\xff"]
)
ASKED = st.sampled_from(["", "?k=1", "?k=2", "?k=0", "?k=99", "?k=x", "?k=1&k=2", "?%00"])


@functools.cache
def client():
    from starlette.testclient import TestClient

    from topk_lightning.classifier import TopKClassifier
    from topk_lightning.serving import create_app

    preprocessing = {"image_size": 16, "resize": "crop", "mean": [0.5] * 3, "std": [0.5] * 3}
    classifier = TopKClassifier(class_names=["ant", "bee", "cat"], preprocessing=preprocessing)
    path = classifier.save(tempfile.mkdtemp() + "/model.ckpt")
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(TestClient(create_app(path, max_bytes=5000, max_pixels=1000), "http://localhost"))


@st.composite
def forms(draw):
    """A form of some fields, a picture in one of them, and bytes of it changed."""
    parts = []
    for _ in range(draw(st.sampled_from([1, 1, 1, 0, 2]))):
        data = draw(st.one_of(st.sampled_from(FORMATS).map(picture), st.binary(max_size=6000)))
        data = damaged(data, draw(CHANGES), draw(st.sampled_from([1.0, 1.0, 0.5])))
        parts.append(b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (BOUNDARY, draw(HEADS), data))
    return damaged(b"".join([*parts, b"--%b--\r\n" % BOUNDARY]), draw(CHANGES), draw(st.sampled_from([1.0, 1.0, 0.9])))


@given(forms(), KINDS, ASKED)
def every_upload_is_answered_with_classes_or_one_sentence(form, kind, asked):
    answer = client().post(f"/predict{asked}", content=form, headers={"content-type": kind.encode("latin-1")})
    assert answer.status_code in (200, 400, 413, 415, 422), answer.text
    content = json.loads(answer.text)
    if answer.status_code == 200:
        assert {named["class"] for named in content["predictions"]} <= {"ant", "bee", "cat"}
    else:
        assert list(content) == ["error"]
        assert "\n" not in content["error"]
        assert len(content["error"]) < 500
