"""The difference of each pair of seeds."""

from __future__ import annotations

from topk_lightning.report._compared import Compared, signed
from topk_lightning.report._section import Section

__all__ = ["ORDER", "section"]

ORDER = 20


def section(compared: Compared) -> Section | None:
    """Return a row for each pair at the smallest k; None for one network a side."""
    if compared.seeds is None:
        return None
    pairs = [pair.by_k[compared.k] for pair in compared.pairs]
    span = max(abs(bound) for of_seed in pairs for bound in (of_seed.low, of_seed.high)) or 1.0
    rows = [
        {
            "name": f"pair {number}",
            "place": {name: 0.5 + getattr(of_seed, name) / (2 * span) for name in ("low", "difference", "high")},
            "value": signed(of_seed.difference),
            "note": f"{of_seed.first:.3f} and {of_seed.second:.3f}; {len(of_seed.won):,} won, {len(of_seed.lost):,} lost; {of_seed.verdict} by itself",
        }
        for number, of_seed in enumerate(pairs, 1)
    ]
    note = f"Difference at top-{compared.k} of each pair of networks, whose interval knows of the images alone; the mark is no difference."
    return Section("Seed by seed", {"note": note, "rows": rows})
