"""The served page in a real browser: pictures come by drop, by paste and by keyboard, and bars appear.

SCREENSHOTS=1 with REPORT_CHECKPOINT=runs/demo/best.ckpt, which `make demo` writes, renews the pictures of the docs.
"""

from __future__ import annotations

import base64
import os
import shutil

import pytest
import torch

from tests.browser import LOOKS
from tests.serving.servers import running
from topk_lightning import PredictionSets
from topk_lightning.data import FORMATS
from topk_lightning.decisions import ReviewPlan
from topk_lightning.prediction import (
    Decider,
    TrainedModel,
    predict_answers,
    predict_sets,
    predict_topk,
    save_fitted,
    save_prediction_sets,
)
from topk_lightning.serving import create_app

# Gives files to the page as a person does who drops or pastes them.
GIVE = """(kind, files) => {
    const transfer = new DataTransfer();
    for (const [name, type, data] of files) {
        transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, { type }));
    }
    const event = kind === "paste"
        ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true })
        : new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
    document.body.dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def checkpoint(checkpoint):
    return os.environ.get("REPORT_CHECKPOINT", checkpoint)


@pytest.fixture(scope="module")
def drawings(emoji, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawings")
    files = []
    for name, picture in zip(emoji.class_names, emoji.pictures("test", range(12)), strict=True):
        files.append(folder / f"{name.replace(' ', '-')}.png")
        picture.resize((320, 320)).save(files[-1])
    return files


def give(opened, kind, files, mime="image/png"):
    packed = [[file.name, mime, base64.b64encode(file.read_bytes()).decode()] for file in files]
    opened.page.evaluate(f"([kind, files]) => ({GIVE})(kind, files)", [kind, packed])


def shown(opened):
    """What the page shows of each picture: its classes with their shares, in their order."""
    opened.wait_for_count(".note", 0)
    opened.wait_for_count(".bar[style='width: 0px;']", 0)  # a bar grows from nothing two frames later
    return opened.page.eval_on_selector_all(
        ".picture",
        """items => items.map(item => [...item.querySelectorAll(".guesses li")].map(line => [
            line.querySelector(".name").textContent, line.querySelector(".share").textContent,
            line.querySelector(".bar").style.width]))""",
    )


def expected(checkpoint, files, k=3):
    return [
        [[p.label, f"{100 * p.probability:.1f}%" if p.probability >= 0.001 else "< 0.1%"] for p in row]
        for row in predict_topk(checkpoint, files, k)
    ]


@pytest.mark.parametrize(*LOOKS)
def test_dropped_pictures_get_their_bars(open_page, address, checkpoint, drawings, scheme, width):
    opened = open_page(address, scheme, width)
    files = [drawings[place] for place in (6, 3, 7, 5)]
    give(opened, "drop", files)
    rows = shown(opened)
    assert [[line[:2] for line in row] for row in rows] == expected(checkpoint, files)
    for row, predictions in zip(rows, predict_topk(checkpoint, files, 3), strict=True):
        for (*_, bar), prediction in zip(row, predictions, strict=True):
            assert float(bar.rstrip("%")) == pytest.approx(100 * prediction.probability, abs=1e-3)
    opened.assert_fits()
    opened.assert_readable()
    opened.screenshot(f"serve_{scheme}_{width}", docs=width == 1280)


@pytest.fixture(scope="module")
def with_sets(checkpoint, emoji, tmp_path_factory):
    """The checkpoint with sets fitted where the right class may stand anywhere: they show nearly every name."""
    path = tmp_path_factory.mktemp("sets") / "model.ckpt"
    shutil.copy(checkpoint, path)
    classes = len(TrainedModel.load(path).class_names)
    logits = torch.linspace(2, 0, classes).repeat(40, 1)
    target = torch.arange(40) % classes
    save_prediction_sets(path, PredictionSets("rank", 0.95).fit(logits, target))
    return path


@pytest.mark.parametrize(*LOOKS)
def test_a_long_set_is_scrolled_by_keyboard_within_its_card(open_page, with_sets, drawings, scheme, width):
    with running(create_app(with_sets, coverage=0.95)) as url:
        opened = open_page(url, scheme, width)
        assert opened.page.locator("#coverage").input_value() == "0.95"
        assert opened.page.locator("#k").is_disabled()
        give(opened, "drop", drawings[:2])
        rows = shown(opened)
        promised = predict_sets(with_sets, drawings[:2], 0.95)
        assert [[line[0] for line in row] for row in rows] == [[p.label for p in row] for row in promised]
        assert min(map(len, rows)) > 9
        said = opened.page.locator(".promise").first.inner_text()
        assert said == f"{len(rows[0])} names: such a list holds the right one in 95 of 100 pictures"
        names = opened.page.locator(".guesses").first
        assert names.bounding_box()["height"] <= 22 * 16
        opened.wait_for_count(".guesses.more", 2)  # each says that it goes on
        opened.assert_fits()
        opened.assert_readable()
        opened.screenshot(f"serve_sets_{scheme}_{width}")
        names.focus()
        opened.page.keyboard.press("End")
        opened.wait_for_count(".guesses.more", 1)
        assert names.evaluate("(list) => list.scrollTop + list.clientHeight >= list.scrollHeight - 2")
        opened.page.locator("#coverage").select_option("")
        assert opened.page.locator("#k").is_enabled()
        give(opened, "drop", drawings[2:3])
        opened.wait_for_count(".picture", 3)
        newest, *_ = shown(opened)
        assert len(newest) == 5


@pytest.fixture(scope="module")
def with_plan(checkpoint, emoji, drawings, tmp_path_factory):
    """The checkpoint with a review plan of which the dropped drawings come to different piles."""
    path = tmp_path_factory.mktemp("plan") / "model.ckpt"
    shutil.copy(checkpoint, path)
    rows = predict_topk(path, drawings, 3)
    first = sorted(row[0].probability for row in rows)
    lists = sorted(sum(p.probability for p in row) for row in rows)
    # Between two pictures: their probabilities are rounded otherwise in another batch.
    threshold, half = (first[-4] + first[-3]) / 2, len(lists) // 2
    plan = ReviewPlan(threshold, (lists[half - 1] + lists[half]) / 2, 3, 0.05, "all", 0.95, 100, len(emoji.class_names))
    save_fitted(path, plan=plan)
    return path


SAID = {
    "accept": "Accepted: nobody needs to look.",
    "list": "Pick the right name from the list.",
    "person": "An expert must look at this picture.",
}


@pytest.mark.parametrize(*LOOKS)
def test_the_pile_and_the_best_of_each_level_are_shown(open_page, with_plan, emoji, drawings, scheme, width):
    groups = {name: f"kind {index % 3}" for index, name in enumerate(emoji.class_names)}
    app = create_app(with_plan, sure=0.4, hierarchy={"kind": groups})
    with running(app) as url:
        opened = open_page(url, scheme, width)
        give(opened, "drop", drawings)
        opened.wait_for_count(".guesses:not([hidden])", len(drawings))
        model = TrainedModel.load(with_plan)
        expected = predict_answers(model, drawings, Decider.of(model, sure=0.4, hierarchy={"kind": groups}))
        assert len({each.pile for each in expected}) == 3
        assert {each.sure.level for each in expected} == {"kind", None}
        assert opened.page.locator(".picture").first.locator(".guesses li").count() == 3  # the k of the plan
        assert opened.page.locator(".pile").all_inner_texts() == [SAID[each.pile] for each in expected]
        strong = opened.page.locator(".sure strong").all_inner_texts()
        assert strong == [each.sure.label or "Not sure at any level" for each in expected]
        lines = opened.page.locator(".sure").first.locator("li").all_inner_texts()
        assert lines == [f"{level}: {name}, {100 * p:.1f}%" for level, name, p in expected[0].sure.by_level]
        opened.assert_fits()
        opened.assert_readable()
        opened.screenshot(f"serve_review_{scheme}_{width}")


def test_a_picture_comes_by_keyboard_alone(open_page, address, checkpoint, drawings):
    opened = open_page(address, width=390)
    choosers = []
    opened.page.on("filechooser", lambda chooser: choosers.append(chooser))
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.type") == "file"
    opened.screenshot("serve_focus")
    opened.page.keyboard.press("Enter")
    for _ in range(200):
        if not choosers:
            opened.page.wait_for_timeout(50)
    choosers[0].set_files(drawings[0])
    assert [[line[:2] for line in row] for row in shown(opened)] == expected(checkpoint, drawings[:1])
    opened.page.keyboard.press("Tab")
    opened.page.keyboard.press("ArrowUp")  # one guess more
    give(opened, "paste", drawings[1:2])
    newest, _ = shown(opened)
    assert [line[:2] for line in newest] == expected(checkpoint, drawings[1:2], k=4)[0]
    spoken = opened.page.text_content("[role=status]")
    assert spoken == f"{drawings[1].name}: {newest[0][0]}, {newest[0][1]}"


def test_what_is_no_picture_gets_a_sentence_and_the_next_picture_its_bars(
    open_page, address, checkpoint, drawings, tmp_path
):
    opened = open_page(address)
    text, large = tmp_path / "<b>notes.txt", tmp_path / "large.bmp"
    text.write_text("not a picture")
    large.write_bytes(bytes(200_001))
    give(opened, "drop", [text, large, drawings[4]], "text/plain")
    opened.page.wait_for_selector(".guesses li")
    opened.wait_for_count(".failed", 2)
    kind, size = opened.page.locator(".failed .note").all_text_contents()
    assert f"must be a picture in {', '.join(FORMATS)}, got 13 bytes of something else." in kind
    assert size == "The file has 200,001 bytes; at most 200,000 are accepted."
    assert opened.page.locator(".picture h2").first.text_content() == text.name
    opened.screenshot("serve_errors")
    opened.assert_readable()
    (problem,) = opened.problems  # Chromium reports every answer of 4xx
    assert "415" in problem
    opened.problems.clear()


def test_a_server_that_has_gone_is_said(open_page, checkpoint, drawings):
    with running(create_app(checkpoint)) as url:
        opened = open_page(url)
    give(opened, "drop", drawings[:1])
    opened.page.wait_for_selector(".failed")
    assert opened.page.text_content(".note") == "The server does not answer. Is it still running?"
    opened.problems.clear()
