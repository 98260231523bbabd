"""The page of two models on the same images: which is better, and where."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

import topk_lightning.report._comparison as comparison_sections
from topk_lightning._checks import InvalidValueError, UserError, must
from topk_lightning._checks.options import check_integer
from topk_lightning._checks.places import check_file_place
from topk_lightning._files import utf8, write_file
from topk_lightning.data import load_image
from topk_lightning.decisions import SeedsComparison, compare_scores, compare_seeds
from topk_lightning.report._compared import Compared, p_text, signed
from topk_lightning.report._files import plain
from topk_lightning.report._page import render
from topk_lightning.report._provenance import facts_of_the_run, stopwatch
from topk_lightning.report._report_path import check_report_path
from topk_lightning.report._section import sections_in
from topk_lightning.report._summary import dots
from topk_lightning.scores import Scores

__all__ = ["write_comparison"]

#: Of the JSON file: raised where a key goes or changes its meaning, not where one is added.
SCHEMA_VERSION = 1

_LOOKS = {"better": "reliable", "worse": "struggling", "equivalent": "", "undecided": ""}
_FOOTER = "Every interval is at its level on its own."


def write_comparison(
    first: Scores | Sequence[Scores],
    second: Scores | Sequence[Scores],
    out: str | Path = "comparison.html",
    *,
    names: tuple[str, str] = ("A", "B"),
    k: int | Sequence[int] | None = None,
    level: float = 0.95,
    margin: float | None = None,
    coverage: float = 0.9,
    images: str | Path | Callable[[str], Image.Image | None] | None = None,
    listed: int = 24,
    title: str | None = None,
    facts: Mapping[str, str] | None = None,
) -> Path:
    """Compare two models on the same images and write what came out as one HTML file, which needs no further files.

    Beside comparison.html stands comparison.json, with all numbers and the names of all images won and lost; its form is
    ``comparison.schema.json`` of this package.

    Args:
        first: scores of the first model, or of the networks of several seeds.
        second: those of the second, of the same seeds in the same order.
        out: the .html file.
        names: what the two are called.
        k: which of the best guesses count; None: 1 and 5, as far as there are classes.
        level: the probability of each interval on its own.
        margin: the difference up to which both count as equally good.
        coverage: the promise of the prediction sets whose sizes are set side by side.
        images: folder in which the scores' ids are files, or what returns a picture by its id
            (:func:`topk_lightning.report.pictures_by_name`); None: no pictures.
        listed: how many images won and lost are shown of each, at least 0.
        title: the heading.
        facts: further lines for the last section.

    Returns:
        The path of the file.

    Raises:
        OSError: a place that cannot be written to, before anything is compared.
        ValueError: what :func:`topk_lightning.decisions.compare_scores` refuses, no .html file, a folder without the images.

    Examples:
        >>> import tempfile
        >>> target = torch.arange(6)
        >>> both = torch.eye(6).roll(1, 0), torch.eye(6)
        >>> models = [Scores(values, target, kind="logits") for values in both]
        >>> path = write_comparison(*models, tempfile.mkdtemp() + "/comparison.html", k=1)
        >>> "6 images won" in path.read_text(encoding="utf-8")
        True
    """
    seconds, path = stopwatch(), check_report_path(out)
    check_file_place("out", path)
    check_integer("listed", listed, minimum=0)
    sides = [[scores] if isinstance(scores, Scores) else list(scores) for scores in (first, second)]
    options: dict[str, Any] = {"level": level, "margin": margin, "coverage": coverage}
    seeds: SeedsComparison | None = None
    if len(sides[0]) == len(sides[1]) == 1:
        pairs = [compare_scores(sides[0][0], sides[1][0], k, **options)]
    else:
        seeds = compare_seeds(sides[0], sides[1], k, **options)
        pairs = seeds.pairs
    more = [(name, "; ".join(map(repr, side))) for name, side in zip(names, sides, strict=True)]
    compared = Compared(
        names=names,
        first=sides[0],
        second=sides[1],
        pairs=pairs,
        seeds=seeds,
        picture=_pictures(images),
        listed=listed,
        facts=[*more, *(facts or {}).items(), *facts_of_the_run(torch.device("cpu"), seconds())],
    )
    sections = sections_in(comparison_sections, compared)
    cards = [card for listing in sections["images"].data["lists"] for card in listing["cards"]]
    if isinstance(images, str | Path) and cards and not any(card["picture"] for card in cards):
        wanted = "hold the images that the scores' ids name"
        raise InvalidValueError(must("images", wanted, f"none of them in {str(images)!r}"))
    head, heading = _comparison_head(compared), title or f"{names[1]} beside {names[0]}"
    content = {
        "schema_version": SCHEMA_VERSION,
        "title": heading,
        "sentence": head["sentence"],
        "verdict": head["verdict"],
        "first": names[0],
        "second": names[1],
        "pairs": [pair.to_dict() for pair in pairs],
        "seeds": None if seeds is None else seeds.to_dict(),
        "facts": [{"heading": name, "text": text} for name, text in compared.facts],
    }
    text = json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False)
    page = render(heading, head, sections, folder="comparison", footer=_FOOTER, has_script=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path.with_suffix(".json"), utf8(text))
    write_file(path, utf8(page))
    return path


def _pictures(images: Any) -> Callable[[str], Image.Image | None]:
    if images is None:
        return lambda name: None
    if callable(images):
        given: Callable[[str], Image.Image | None] = images
        return given
    folder = Path(images)
    if not folder.is_dir():
        raise InvalidValueError(must("images", "be a folder", repr(str(images))))

    def picture(name: str) -> Image.Image | None:
        try:
            return load_image(folder / name)
        except (OSError, UserError):
            return None

    return picture


def _comparison_head(compared: Compared) -> dict[str, Any]:
    """Return the sentence, the verdict with its reason, and a hundred dots."""
    one, two = compared.names
    of_k: Any = compared.by_k[compared.k]
    guess = "its first guess" if compared.k == 1 else f"its first {compared.k} guesses"
    over = "" if compared.seeds is None else f", on average of {len(compared.pairs)} seeds"
    sentence = (
        f"{two} is right with {guess} for {of_k.second:.3f} of {compared.pair.images:,} images, {one} for {of_k.first:.3f}{over}: a "
        f"difference of {signed(of_k.difference)} ({signed(of_k.low)} to {signed(of_k.high)})."
    )
    p = of_k.test.mid_p if compared.seeds is None else of_k.p
    reason = {
        "better": f"p {p_text(p)}: models that are equally good would seldom differ by so much.",
        "worse": f"p {p_text(p)}: models that are equally good would seldom differ by so much.",
        "undecided": f"p {p_text(p)}: models that are equally good differ by as much. Which is better these images do not tell.",
        "equivalent": f"The difference is shown to lie within ±{of_k.margin or 0:g}.",
    }
    pairs = [pair.by_k[compared.k] for pair in compared.pairs]
    counts = {
        "first": sum(pair.both for pair in pairs),
        "near": sum(len(pair.won) for pair in pairs),
        "lost": sum(len(pair.lost) for pair in pairs),
        "far": sum(pair.images - pair.both - len(pair.won) - len(pair.lost) for pair in pairs),
    }
    labels = {"first": "both right", "near": f"{two} alone", "lost": f"{one} alone", "far": "neither"}
    verdict = of_k.verdict
    return {
        "kicker": "Comparison",
        "sentence": sentence,
        "verdict": verdict,
        "look": _LOOKS[verdict],
        "reason": reason[verdict],
        "waffle": dots(counts, labels),
    }
