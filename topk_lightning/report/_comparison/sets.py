"""How many names both must show for the same promise."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from topk_lightning.report._compared import Compared, signed
from topk_lightning.report._section import Section

__all__ = ["ORDER", "section"]

ORDER = 60


def section(compared: Compared) -> Section | None:
    """Return mean and median of names of both; None where the k best classes alone are known."""
    sizes = [pair.sizes for pair in compared.pairs if pair.sizes is not None]
    if not sizes:
        return None
    promise, most = sizes[0].promise, max(max(of_pair.mean) for of_pair in sizes) or 1.0
    rows: list[dict[str, Any]] = []
    for side, name in enumerate(compared.names):
        mean, covered = (
            fmean(of_pair.mean[side] for of_pair in sizes),
            fmean(of_pair.coverage[side] for of_pair in sizes),
        )
        median = fmean(of_pair.median[side] for of_pair in sizes)
        rows.append(
            {
                "name": name,
                "share": mean / most,
                "value": f"{mean:.1f}",
                "note": f"names on average, {median:.3g} in the middle; {100 * covered:.1f} % covered",
            }
        )
    if len(sizes) == 1:
        low, high, level = sizes[0].low, sizes[0].high, 100 * compared.pair.by_k[compared.k].level
        gap = f"A difference of {signed(sizes[0].difference, 2)} names ({signed(low, 2)} to {signed(high, 2)}, {level:g} % interval)."
    else:
        each = ", ".join(signed(of_pair.difference, 2) for of_pair in sizes)
        gap = f"A difference of {each} names by pair of seeds."
    note = (
        f"Names that each must show so that the right one is among them {100 * promise:g} of 100 times: prediction sets (LAC), fitted "
        "on one half of these images and counted on the other, and the other way round. The interval of the difference knows of the "
        "images that were counted, not of those of the fit."
    )
    return Section("How many names", {"note": note, "rows": rows, "gap": gap})
