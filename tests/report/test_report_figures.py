"""The figures of the report as numbers, and the colours that all of it is drawn in."""

from __future__ import annotations

import re

import pytest
import torch

from topk_lightning.drawing import DARK, LIGHT, Scale, nice_ticks
from topk_lightning.metrics import ClassReport, ConfusedPair
from topk_lightning.report._heat_map import heat_map, of_worst_pairs
from topk_lightning.report._sections.accuracy import accuracy_plot, rank_plot
from topk_lightning.report._sections.classes import class_rows
from topk_lightning.report._summary import waffle

SCHEMES = pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])


def rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))


def luminance(colour: tuple[float, ...]) -> float:
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@SCHEMES
def test_text_stands_out_from_what_it_stands_on(scheme):
    for text in ("ink", "muted", "accent", "right_text", "wrong_text", "notice_text"):
        for ground in ("page", "card"):
            assert contrast(rgb(scheme[text]), rgb(scheme[ground])) >= 4.5, (text, ground)
    for ground in ("grid", "accent_soft"):  # a row under the mouse, the bar behind a number
        assert contrast(rgb(scheme["ink"]), rgb(scheme[ground])) >= 4.5


@SCHEMES
def test_what_is_drawn_stands_out_from_the_card(scheme):
    for name in ("accent", "right", "wrong", "far", "notice", *(f"series_{number}" for number in range(5))):
        assert contrast(rgb(scheme[name]), rgb(scheme["card"])) >= 3, name


@SCHEMES
@pytest.mark.parametrize("kind", ["right", "wrong"])
def test_the_numbers_in_a_heat_map_are_read_on_every_shade(scheme, kind):
    from topk_lightning.report._page import _TEMPLATES

    style = (_TEMPLATES / "report.css").read_text()
    light, dark = (float(found) for found in re.findall(r"--shade:([.\d]+)", style))
    for share in (0, 0.25, 0.5, 0.75, 1):
        opacity = 0.1 + (light if scheme is LIGHT else dark) * share
        under, over = rgb(scheme["card"]), rgb(scheme[kind])
        shade = tuple(opacity * b + (1 - opacity) * a for a, b in zip(under, over, strict=True))
        assert contrast(rgb(scheme["ink"]), shade) >= 4.5, share


def test_round_ticks_lie_inside_and_apart_by_one_two_or_five():
    for low, high in ((0, 1), (0, 0.33), (1, 462), (0, 5.9), (3, 3.0001)):
        ticks = nice_ticks(low, high)
        assert 2 <= len(ticks) <= 11
        assert low - 1e-9 <= ticks[0] < ticks[-1] <= high + 1e-9
    assert nice_ticks(2, 2) == [2]
    assert Scale(0, 2, 10, 20)(1) == 15


def test_the_ranks_are_counted_once_each():
    histogram = [50, 10, 5, 3, 2, *[1] * 95, 4]  # 100 classes, and 4 images with NaN
    plot = rank_plot(histogram, 5)
    images = 50 + 10 + 5 + 3 + 2 + 95 + 4
    assert [row[:2] for row in plot.rows] == [
        ("1", "50"), ("2", "10"), ("3", "5"), ("4", "3"), ("5", "2"), ("6–10", "5"), ("11–50", "40"), ("51–100", "50"),
        ("NaN", "4"),
    ]  # fmt: skip
    assert [float(share) for _, _, share in plot.rows] == [
        round(int(count.replace(",", "")) / images, 3) for _, count, _ in plot.rows
    ]
    assert [bar.kind for bar in plot.bars] == ["first", *["near"] * 4, *["far"] * 4]
    heights = [bar.height for bar in plot.bars]
    assert heights[1] / heights[0] == pytest.approx(10 / 50, abs=0.01)


def test_a_hundred_dots_are_a_hundred():
    for first, within, images in ((1, 2, 3), (258, 338, 462), (0, 0, 7), (7, 7, 7), (333, 666, 999)):
        found = waffle(first, within, images, 5)
        assert len(found["dots"]) == 100
        for (_, count, _), exact in zip(found["parts"], (first, within - first, images - within), strict=True):
            assert abs(count - 100 * exact / images) < 1


def test_the_accuracy_curve_stays_inside_its_band():
    report = ClassReport(4, k=(1, 3))
    report.update(torch.eye(4)[[0, 1, 2, 0, 1]], torch.tensor([0, 1, 2, 3, 3]))
    plot = accuracy_plot(report.accuracy_curve(4), 4, (1, 3))
    assert [row[0] for row in plot.rows] == ["1", "2", "3", "4"]
    assert [row[1] for row in plot.rows] == [f"{3 / 5:.3f}"] * 3 + ["1.000"]
    assert [row[4] for row in plot.rows] == ["0.250", "0.500", "0.750", "1.000"]
    assert len(plot.points) == 2


def test_a_heat_map_of_pairs_puts_partners_side_by_side():
    pairs = torch.tensor([[0, 0, 5], [0, 40, 4], [3, 7, 3], [40, 0, 2], [7, 7, 9]])
    support = torch.zeros(50, dtype=torch.int64)
    support[[0, 3, 7, 40]] = torch.tensor([9, 3, 9, 2])
    names = [f"c{index}" for index in range(50)]
    worst = [ConfusedPair("c0", "c40", 4, 2, 0, 40, 9, 2), ConfusedPair("c3", "c7", 3, 0, 3, 7, 3, 9)]
    found = of_worst_pairs(pairs, names, support, worst)
    assert found.names == ["c0", "c40", "c3", "c7"]
    assert {(cell.row, cell.column): cell.share for cell in found.cells} == {
        (0, 0): 5 / 9, (0, 1): 4 / 9, (1, 0): 2 / 2, (2, 3): 3 / 3, (3, 3): 9 / 9,
    }  # fmt: skip
    assert of_worst_pairs(pairs, names, support, worst, most=2).names == ["c0", "c40"]
    assert heat_map(pairs, names, support).side == 50


def test_the_table_of_very_many_classes_lists_those_with_the_lowest_recall():
    support = torch.full((4000,), 2)
    support[5] = 0
    recall = torch.linspace(1, 0, 4000)
    recall[5] = torch.nan
    values = {"support": support, **dict.fromkeys(("recall", "recall_top5", "precision", "f1"), recall)}
    pairs = torch.tensor([[3999, 1, 1], [3999, 2, 1]])
    rows = class_rows(values, pairs, [f"c{index}" for index in range(4000)], ["fair"] * 4000, 5)
    assert [row.name for row in rows[:3000]] == [f"c{index}" for index in range(3999, 999, -1)]
    assert (rows[0].taken_for, rows[0].taken) == ("c1", 1)  # of equals the first
    assert (rows[1].taken_for, rows[1].taken) == ("", 0)
