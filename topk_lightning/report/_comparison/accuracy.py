"""The difference at each k with its interval, and what follows from it."""

from __future__ import annotations

from typing import Any

from topk_lightning.decisions import PairedComparison
from topk_lightning.report._compared import Compared, p_text, signed
from topk_lightning.report._section import Section

__all__ = ["ORDER", "section"]

ORDER = 10


def section(compared: Compared) -> Section:
    """Return a tile for each k, and the numbers as a table."""
    first, second = compared.names
    level = compared.pair.by_k[compared.k].level
    what = (
        "for these images and images like them" if compared.seeds is None else "had there been other seeds and images"
    )
    note = (
        f"Accuracy of {second} less that of {first}, on the same images, with its {100 * level:g} % interval, {what}; the mark is no "
        "difference."
    )
    columns = [
        "k",
        first,
        second,
        "difference",
        "from",
        "to",
        *(["won", "lost", "p (mid-p)", "p (exact)"] if compared.seeds is None else ["p"]),
    ]
    return Section(
        "Which is better",
        {"note": note, "tiles": [_tile(k, of_k, compared) for k, of_k in compared.by_k.items()], "columns": columns,
         "rows": [_row(k, of_k) for k, of_k in compared.by_k.items()], "notes": _notes(compared)},
    )  # fmt: skip


def _tile(k: int, of_k: Any, compared: Compared) -> dict[str, Any]:
    span = max(abs(bound) for each in compared.by_k.values() for bound in (each.low, each.high)) or 1.0
    position = {name: 0.5 + getattr(of_k, name) / (2 * span) for name in ("low", "difference", "high")}
    lines = [f"{of_k.first:.3f} and {of_k.second:.3f}; {signed(of_k.low)} to {signed(of_k.high)}"]
    if isinstance(of_k, PairedComparison):
        lines.append(f"{len(of_k.won):,} images won, {len(of_k.lost):,} lost")
        lines.append(f"p {p_text(of_k.test.mid_p)} (mid-p, which decides), {p_text(of_k.test.exact)} (exact)")
    else:
        lines.append(f"by seed {', '.join(signed(gap) for gap in of_k.by_seed)}")
        lines.append(f"p {p_text(of_k.p)}")
    if of_k.margin is not None:
        shown = "shown" if of_k.equivalent else "not shown"
        lines.append(f"equally good within ±{of_k.margin:g}: {shown}")
    return {
        "name": f"Top-{k}: {of_k.verdict}",
        "difference": signed(of_k.difference),
        "place": position,
        "lines": lines,
    }


def _row(k: int, of_k: Any) -> list[str]:
    numbers = [
        f"{of_k.first:.4f}",
        f"{of_k.second:.4f}",
        *(signed(v, 4) for v in (of_k.difference, of_k.low, of_k.high)),
    ]
    if isinstance(of_k, PairedComparison):
        return [
            str(k),
            *numbers,
            f"{len(of_k.won):,}",
            f"{len(of_k.lost):,}",
            *(f"{p:.4g}" for p in (of_k.test.mid_p, of_k.test.exact)),
        ]
    return [str(k), *numbers, f"{of_k.p:.4g}"]


def _notes(compared: Compared) -> list[str]:
    if compared.seeds is not None:
        return [
            f"{len(compared.pairs)} networks a side, paired by seed. The interval is that of the mean difference, had there been "
            "other seeds and other images: with few seeds it is wide."
        ]
    return [
        "Images that both name right, or both name wrong, say nothing of the difference. The interval is Newcombe's; p is "
        "McNemar's: how often two equally good models would differ by as much. It says how these two networks differ, not "
        "how two ways to train do: for that, compare several seeds of each."
    ]
