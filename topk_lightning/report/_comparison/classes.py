"""Class by class, corrected for their number."""

from __future__ import annotations

from topk_lightning.report._compared import Compared, p_text, signed
from topk_lightning.report._section import Section

__all__ = ["ORDER", "section"]

ORDER = 40

_MOST = 200


def section(compared: Compared) -> Section:
    """Return a table of the classes, the clearest difference first."""
    first, second = compared.names
    names, level = compared.pair.class_names, compared.pair.by_k[compared.k].level
    if compared.seeds is None:
        columns = ["Class", "images", first, second, "difference", "won", "lost", "p, corrected"]
        rows = [
            (c.adjusted_p, [names[c.index], f"{of.images:,}", f"{of.first:.3f}", f"{of.second:.3f}", signed(of.difference),
             f"{len(of.won):,}", f"{len(of.lost):,}", p_text(c.adjusted_p)])
            for c in compared.pair.classes for of in [c.comparison]
        ]  # fmt: skip
    else:
        columns = ["Class", "images", first, second, "difference", "p, corrected"]
        rows = [
            (c.adjusted_p, [names[c.index], f"{c.images:,}", f"{c.first:.3f}", f"{c.second:.3f}", signed(c.second - c.first),
             p_text(c.adjusted_p)])
            for c in compared.seeds.classes
        ]  # fmt: skip
    clear = sum(p <= 1 - level for p, _ in rows)
    note = (
        f"Of {len(rows):,} classes {clear or 'none'} differ{'s' if clear == 1 else ''} clearly at top-{compared.k}. p is corrected for the number of classes (Holm): "
        f"where the models are equally good on every class, {100 * level:g} of 100 such tables show no p of {1 - level:.2g} or less."
    )
    if compared.seeds is not None:
        note += " It is that of these networks on other images, by the signs of the images."
    if len(rows) > _MOST:
        note += f" The {_MOST} clearest differences are listed; the JSON file beside this page has all classes."
    return Section("Classes", {"note": note, "columns": columns, "rows": [row for _, row in rows[:_MOST]]})
