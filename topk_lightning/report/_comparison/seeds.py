"""The difference of each pair of seeds."""

from __future__ import annotations

from topk_lightning.report._compared import Compared, signed
from topk_lightning.report._section import Section

__all__ = ["ORDER", "section"]

ORDER = 20


def section(found: Compared) -> Section | None:
    """Return a row for each pair at the smallest k; None for one network a side."""
    if found.seeds is None:
        return None
    pairs = [pair.by_k[found.k] for pair in found.pairs]
    span = max(abs(bound) for one in pairs for bound in (one.low, one.high)) or 1.0
    rows = [
        {
            "name": f"pair {number}",
            "place": {name: 0.5 + getattr(one, name) / (2 * span) for name in ("low", "difference", "high")},
            "value": signed(one.difference),
            "note": f"{one.first:.3f} and {one.second:.3f}; {len(one.won):,} won, {len(one.lost):,} lost; {one.verdict} by itself",
        }
        for number, one in enumerate(pairs, 1)
    ]
    note = f"Difference at top-{found.k} of each pair of networks, whose interval knows of the images alone; the mark is no difference."
    return Section("Seed by seed", {"note": note, "rows": rows})
