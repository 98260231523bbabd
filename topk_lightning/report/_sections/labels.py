"""Which labels look wrong, and which classes could be one: with pictures, and a table to work through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from topk_lightning.decisions import MergePair
from topk_lightning.report._results import Results
from topk_lightning.report._section import Section
from topk_lightning.report._thumbnail import thumbnail

__all__ = ["ORDER", "section"]

ORDER = 65


@dataclass(frozen=True)
class Suspect:
    """An image whose label looks wrong; probabilities of its label and of the first guess."""

    name: str
    label: str
    probability: float
    suggested: str
    suggested_probability: float
    confident: bool
    picture: str = field(metadata={"json": False})


@dataclass(frozen=True)
class Merge:
    """Two classes that are taken for each other, and the accuracy that one name for both would give."""

    first: str
    second: str
    confused: int
    right: int
    accuracy: float
    merged: float
    pictures: list[tuple[str, str]] = field(metadata={"json": False})


def section(results: Results) -> Section | None:
    """Return the most suspect labels and the pairs to merge; None where there is neither."""
    suspects = results.suspects
    if not suspects.order and not suspects.merging:
        return None
    shown = [_suspect(results, index) for index in suspects.surest[: results.hard_images // 2]]
    merging = [_merge(results, pair) for pair in suspects.merging]
    accuracy = float((results.evaluation.rank == 0).double().mean())
    count = int(suspects.confident.sum())
    note = (
        f"For {count:,} of {results.images:,} images the classifier is as sure of another class as it usually is of images that "
        "carry that label: theirs may be wrong. "
        + (
            f"It is right for {accuracy:.0%}, so many of these are its own mistakes. "
            if accuracy < 0.9
            else "Some of these are its own mistakes. "
        )
        + f"All {len(suspects.order):,} images that it gives another name stand in suspects.csv beside this page, the least probable label "
        "first, with empty columns for what a person finds."
    )
    values: dict[str, Any] = {
        "note": note,
        "confident": count,
        "suspects": shown,
        "to_merge": merging,
    }
    data = {"note": note, "suspects": shown, "merging": merging, "has_images": not results.unknown}
    return Section("Labels and classes", data, values)


def _suspect(results: Results, index: int) -> Suspect:
    rows, names = results.evaluation, results.class_names
    return Suspect(
        results.data.test.name(int(rows.index[index])),
        names[int(rows.target[index])],
        float((-rows.loss[index]).exp()),
        names[int(rows.best[index, 0])],
        float(rows.probability[index, 0]),
        bool(results.suspects.confident[index]),
        _picture(results, index),
    )


def _merge(results: Results, pair: MergePair) -> Merge:
    names = results.class_names
    pictures = [(names[label], _example(results, label)) for label in (pair.first, pair.second)]
    return Merge(names[pair.first], names[pair.second], pair.confused, pair.right, pair.accuracy, pair.merged, pictures)


def _example(results: Results, label: int) -> str:
    """Return a picture of a class: the first image of it."""
    rows = (results.evaluation.target == label).nonzero().flatten()
    return _picture(results, int(rows[0])) if len(rows) and results.hard_images else ""


def _picture(results: Results, index: int) -> str:
    picture = results.data.test.shown(int(results.evaluation.index[index]))
    return "" if picture is None else thumbnail(picture)
