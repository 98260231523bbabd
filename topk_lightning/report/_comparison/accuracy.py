"""The difference at each k with its interval, and what follows from it."""

from __future__ import annotations

from typing import Any

from topk_lightning.decisions import PairedComparison
from topk_lightning.report._compared import Compared, p_text, signed
from topk_lightning.report._section import Section

__all__ = ["ORDER", "section"]

ORDER = 10


def section(found: Compared) -> Section:
    """Return a tile for each k, and the numbers as a table."""
    one, two = found.names
    level = found.pair.by_k[found.k].level
    what = "for these images and images like them" if found.seeds is None else "had there been other seeds and images"
    note = (
        f"Accuracy of {two} less that of {one}, on the same images, with its {100 * level:g} % interval, {what}; the mark is no "
        "difference."
    )
    columns = [
        "k",
        one,
        two,
        "difference",
        "from",
        "to",
        *(["won", "lost", "p (mid-p)", "p (exact)"] if found.seeds is None else ["p"]),
    ]
    return Section(
        "Which is better",
        {"note": note, "tiles": [_tile(k, of_k, found) for k, of_k in found.by_k.items()], "columns": columns,
         "rows": [_row(k, of_k) for k, of_k in found.by_k.items()], "notes": _notes(found)},
    )  # fmt: skip


def _tile(k: int, one: Any, found: Compared) -> dict[str, Any]:
    span = max(abs(bound) for of_k in found.by_k.values() for bound in (of_k.low, of_k.high)) or 1.0
    place = {name: 0.5 + getattr(one, name) / (2 * span) for name in ("low", "difference", "high")}
    lines = [f"{one.first:.3f} and {one.second:.3f}; {signed(one.low)} to {signed(one.high)}"]
    if isinstance(one, PairedComparison):
        lines.append(f"{len(one.won):,} images won, {len(one.lost):,} lost")
        lines.append(f"p {p_text(one.test.mid_p)} (mid-p, which decides), {p_text(one.test.exact)} (exact)")
    else:
        lines.append(f"by seed {', '.join(signed(gap) for gap in one.by_seed)}")
        lines.append(f"p {p_text(one.p)}")
    if one.margin is not None:
        shown = "shown" if one.equivalent else "not shown"
        lines.append(f"equally good within ±{one.margin:g}: {shown}")
    return {"name": f"Top-{k}: {one.verdict}", "difference": signed(one.difference), "place": place, "lines": lines}


def _row(k: int, one: Any) -> list[str]:
    numbers = [f"{one.first:.4f}", f"{one.second:.4f}", *(signed(v, 4) for v in (one.difference, one.low, one.high))]
    if isinstance(one, PairedComparison):
        return [
            str(k),
            *numbers,
            f"{len(one.won):,}",
            f"{len(one.lost):,}",
            *(f"{p:.4g}" for p in (one.test.mid_p, one.test.exact)),
        ]
    return [str(k), *numbers, f"{one.p:.4g}"]


def _notes(found: Compared) -> list[str]:
    if found.seeds is not None:
        return [
            f"{len(found.pairs)} networks a side, paired by seed. The interval is that of the mean difference, had there been "
            "other seeds and other images: with few seeds it is wide."
        ]
    return [
        "Images that both name right, or both name wrong, say nothing of the difference. The interval is Newcombe's; p is "
        "McNemar's: how often two equally good models would differ by as much. It says how these two networks differ, not "
        "how two ways to train do: for that, compare several seeds of each."
    ]
