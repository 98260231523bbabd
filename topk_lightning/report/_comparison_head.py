"""The head of the page of two models: one sentence, the verdict with its reason, and a hundred dots."""

from __future__ import annotations

from typing import Any

from topk_lightning.report._compared import Compared, p_text, signed
from topk_lightning.report._summary import dots

__all__ = ["comparison_head"]

_LOOKS = {"better": "reliable", "worse": "struggling", "equivalent": "", "undecided": ""}


def comparison_head(compared: Compared) -> dict[str, Any]:
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
