"""The report in a real browser: how it looks, sorts, filters and speaks to a keyboard, without the network.

SCREENSHOTS=1 with REPORT_CHECKPOINT=runs/demo/best.ckpt, which `make demo` writes, renews the pictures of the docs.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from tests.browser import LOOKS, SCHEMES
from tests.report.modelled import HOSTILE, SCRIPT, Scores, matrix_loader
from topk_lightning import EmojiDataModule, write_report
from topk_lightning.prediction import TrainedModel

SECTIONS = (
    "findings", "accuracy", "groups", "calibration", "sets", "review", "level", "confusions", "hard_images", "labels", "classes",
    "training", "provenance",
)  # fmt: skip


@pytest.fixture(scope="module")
def report(trained, tmp_path_factory):
    checkpoint, data = trained.checkpoint, trained.data
    shown = os.environ.get("REPORT_CHECKPOINT")
    if shown:
        preprocessing = TrainedModel.load(shown).preprocessing
        checkpoint, data = Path(shown), EmojiDataModule(preprocessing.image_size)
    out = tmp_path_factory.mktemp("report") / "report.html"
    return write_report(checkpoint, data, out, title="How well emoji are named", hard_images=6, facts={"Seed": "0"})


def names(opened):
    return opened.page.locator("#class-table tbody tr:not([hidden]) th").all_text_contents()


def column(opened, number):
    found = opened.page.locator(f"#class-table tbody tr:not([hidden]) td:nth-child({number})").all_text_contents()
    return [text.strip() for text in found]


@pytest.mark.parametrize(*LOOKS)
def test_it_is_readable_in_light_and_dark_on_a_phone_and_a_desk(open_page, report, scheme, width):
    opened = open_page(report, scheme, width)
    opened.assert_fits()
    opened.assert_readable()
    opened.page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    opened.assert_fits()
    opened.assert_readable()
    assert [one.get_attribute("id") for one in opened.page.locator("section").all()] == list(SECTIONS)
    assert opened.requests[0].startswith("file:")
    assert all(url.startswith("data:") for url in opened.requests[1:])
    opened.page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = false))")
    opened.screenshot(f"report_{scheme}_{width}", full_page=False, docs=width > 1000 or scheme == "dark")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_section_is_seen_for_the_docs(open_page, report, scheme):
    opened = open_page(report, scheme)
    twin = "_dark" if scheme == "dark" else ""
    for name in SECTIONS:
        section = opened.page.locator(f"#{name}")
        assert section.bounding_box()["height"] > 100
        opened.screenshot(f"report_{name}{twin}", docs=name not in ("training", "provenance"), part=section)


def test_the_table_sorts_both_ways_by_number_and_by_name(open_page, report):
    opened = open_page(report)
    table = opened.page.locator("#class-table")
    recall = [float(text) for text in column(opened, 3)]
    assert recall == sorted(recall)
    assert table.locator("[aria-sort]").inner_text().startswith("Recall")
    table.get_by_role("button", name="Recall").click()
    assert [float(text) for text in column(opened, 3)] == sorted(recall, reverse=True)
    assert table.locator("[aria-sort=descending]").inner_text().startswith("Recall")
    table.get_by_role("button", name="Class").click()
    assert names(opened) == sorted(names(opened), key=str.lower)
    assert table.locator("[aria-sort]").count() == 1
    for _ in range(2):  # what is not defined stands last, whichever way
        table.get_by_role("button", name="Precision").click()
        found = column(opened, 5)
        defined = [text for text in found if text != "–"]
        assert found == defined + ["–"] * (len(found) - len(defined))


def test_the_table_is_sorted_and_filtered_by_the_keyboard_alone(open_page, report):
    opened = open_page(report, width=390)
    everyone = names(opened)
    opened.page.locator("#class-filter").focus()
    opened.page.keyboard.type(everyone[3][:4].upper())
    left = names(opened)
    assert everyone[3] in left
    assert left == [name for name in everyone if everyone[3][:4].lower() in name.lower()]
    count = opened.page.locator("#class-count")
    assert count.inner_text() == f"{len(left)} of {len(everyone)} classes"
    assert count.get_attribute("role") == "status"
    opened.page.keyboard.press("Control+A")
    opened.page.keyboard.press("Delete")
    assert names(opened) == everyone
    for _ in range(3):  # the grades, the table, its first heading
        opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.closest('th').innerText").startswith("Class")
    opened.page.keyboard.press("Enter")
    assert names(opened) == sorted(everyone, key=str.lower)
    opened.page.keyboard.press("Space")
    assert names(opened) == sorted(everyone, key=str.lower, reverse=True)


def test_a_grade_is_chosen(open_page, tmp_path):
    matrix = [[50, 2, 3], [4, 45, 1], [2, 30, 10]]
    path = write_report(Scores(), matrix_loader(matrix), tmp_path / "r.html", class_names=["cat", "dog", "owl"])
    opened = open_page(path)
    opened.page.locator("#grade-filter").select_option("struggling")
    assert names(opened) == ["owl", "dog"]  # recall 10/42; precision 45/77
    opened.page.locator("#grade-filter").select_option("no images")
    assert opened.page.locator("#class-count").inner_text() == "0 of 3 classes"


def test_hostile_names_do_nothing_but_show(open_page, tmp_path):
    hostile = [*HOSTILE, SCRIPT]
    matrix = torch.full((6, 6), 3).tolist()
    path = write_report(
        Scores(), matrix_loader(matrix), tmp_path / "r.html", class_names=hostile, title=SCRIPT,
        hierarchy={HOSTILE[0]: [0, 0, 0, 1, 1, 1]}, facts={"Command": SCRIPT},
    )  # fmt: skip
    opened = open_page(path)
    dialogs = []
    opened.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    opened.page.reload()
    assert sorted(names(opened)) == sorted(hostile)
    assert opened.page.locator("h1").inner_text() == SCRIPT
    assert opened.page.title() == SCRIPT
    assert opened.page.locator("svg title", has_text=SCRIPT).count() > 0
    opened.page.mouse.move(300, 300)
    for button in opened.page.locator("#class-table button").all():
        button.click()
    opened.page.locator("#class-filter").fill("<script>")
    assert names(opened) == [SCRIPT]
    assert dialogs == []


def test_without_its_script_it_is_a_whole_page_too(open_page, report):
    opened = open_page(report, java_script_enabled=False)
    assert opened.page.locator("#class-table tbody tr").count() >= 24
    assert opened.page.locator("#findings li").count() > 0


def test_a_thousand_classes_sort_without_laying_all_of_them_out(open_page, thousand):
    opened = open_page(thousand[0])
    opened.page.locator("#class-table").scroll_into_view_if_needed()

    def median_of_sorts() -> float:
        seconds = opened.page.evaluate(
            """() => [...document.querySelectorAll("#class-table thead button")].map((button) => {
                const start = performance.now();
                button.click();
                document.body.offsetHeight;
                return (performance.now() - start) / 1000;
            })"""
        )
        return sorted(seconds)[len(seconds) // 2]

    quick = median_of_sorts()
    assert len(names(opened)) == 1000
    opened.page.evaluate(
        """() => document.querySelectorAll("#class-table tbody tr").forEach((row) => {
            row.style.contentVisibility = "visible";
        })"""
    )
    # Five to eight times as long in the same page: what is not in view costs nothing.
    assert 2 * quick < median_of_sorts()


def test_on_paper_the_colours_are_those_of_the_day_and_the_table_ends(open_page, report):
    opened = open_page(report, "dark")
    opened.page.emulate_media(media="print", color_scheme="dark")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert opened.page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 29, 33)"
    assert not opened.page.locator("nav").is_visible()
