"""The numbers that sentences quote: each is followed by a comment that says which it is, and is written from the results.

``+0.6 ± 0.2<!-- temperature CE; glyphs, clean; top5 -->``: method, setting, figure.
"""

from __future__ import annotations

import re

from comparisons import MARGIN, compare, decay_gain, epochs_to_reach
from grid_c import QUESTIONS
from records import Results
from tables import middle, points, settings_by_name

__all__ = ["QUOTE", "quoted", "requote"]

#: The number, the method, the setting and which figure of it.
QUOTE = re.compile(r"([+−]?\d+(?:\.\d+)?(?: ± \d+\.\d)?)<!-- ([^<>;]+); ([^<>;]+); (\w+) -->")
_NEAR = {"epochs_to_5": 5 * MARGIN, "epochs_to_1": MARGIN}


def quoted(records: Results, method: str, setting: str, figure: str) -> str | None:
    """Return a number as sentences have it; None where it was not measured.

    Args:
        records: the results.
        method: its name.
        setting: its name.
        figure: "top1", "top5", "top10" or a name of `QUESTIONS`: the difference to cross entropy with its interval;
            "decay": what tuning the decay gives the method in top-5; "epochs_to_5", "epochs_to_1": epochs to within so many
            points of where cross entropy ends.
    """
    if figure in _NEAR:
        found = epochs_to_reach(records, setting, method, _NEAR[figure])
        return middle(found) if found else None
    if figure == "decay":
        gain = decay_gain(records, setting, method)
        return None if gain is None else points(gain)
    grid = "c" if figure in QUESTIONS else "a" if settings_by_name()[setting].network == "perceptron" else "b"
    compared = compare(records, setting, figure, grid).get(method)
    return None if compared is None else points(compared.paired, share=figure != "set_size")


def requote(page: str, records: Results) -> str:
    """Return a page with its quoted numbers made anew, where they were measured."""

    def anew(place: re.Match[str]) -> str:
        old, *where = place.groups()
        return f"{quoted(records, *where) or old}<!-- {'; '.join(where)} -->"

    return QUOTE.sub(anew, page)
