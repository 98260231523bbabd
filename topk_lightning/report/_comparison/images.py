"""The images won and lost, with their pictures where these are known."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from topk_lightning.ranking import topk_indices
from topk_lightning.report._compared import Compared
from topk_lightning.report._section import Section
from topk_lightning.report._thumbnail import thumbnail
from topk_lightning.scores import Scores

__all__ = ["ORDER", "section"]

ORDER = 30


def section(compared: Compared) -> Section:
    """Return cards of images that one model has right and the other has not."""
    first, second = compared.names
    if compared.seeds is None:
        of_k = compared.pair.by_k[compared.k]
        sides = [("Won", of_k.won.tolist(), second, first), ("Lost", of_k.lost.tolist(), first, second)]
    else:
        gains = compared.seeds.gains
        order = (-gains.abs()).sort(stable=True).indices
        sides = [
            ("Won", order[gains[order] > 0].tolist(), second, first),
            ("Lost", order[gains[order] < 0].tolist(), first, second),
        ]
    lists: list[dict[str, Any]] = []
    for name, rows, better, worse in sides:
        shown = rows[: compared.listed]
        more = f" with more seeds by {better} than by {worse}" if compared.seeds else f" by {better} alone"
        count = f"{len(rows):,} image{'' if len(rows) == 1 else 's'} {compared.right}{more}"
        count += (
            "."
            if len(shown) == len(rows)
            else f"; {len(shown)} of them are shown, the JSON file beside this page names all."
        )
        lists.append(
            {"title": f"{name}: {len(rows):,}", "note": count, "cards": [_card(compared, row) for row in shown]}
        )
    cards = [card for one_list in lists for card in one_list["cards"]]
    has_pictures = any(card["picture"] for card in cards)
    note = "Pictures need the images: stored scores hold their names alone." if cards and not has_pictures else ""
    return Section("Images won and lost", {"note": note, "lists": lists, "has_pictures": has_pictures})


def _card(compared: Compared, row: int) -> dict[str, Any]:
    scores, names = compared.first[0], compared.pair.class_names
    image, truth = compared.pair.ids[row], int(scores.labels()[row])
    picture = compared.picture(image)
    guesses = []
    for who, of_side in zip(compared.names, (compared.first, compared.second), strict=True):
        said = [_guess(model, _row_of(model, image, row, scores.ids is not None)) for model in of_side]
        labels = list(dict.fromkeys(name for name, _ in said))
        text = " or ".join(labels) if len(said) > 1 else labels[0]
        p = said[0][1] if len(said) == 1 else None
        guesses.append({"who": who, "text": text, "p": p, "right": labels == [names[truth]]})
    return {
        "name": image,
        "truth": names[truth],
        "guesses": guesses,
        "picture": "" if picture is None else thumbnail(picture),
    }


def _row_of(scores: Scores, image: str, row: int, has_names: bool) -> int:
    return scores.row_of(image) if has_names and scores.ids is not None else row


def _guess(scores: Scores, row: int) -> tuple[str, float | None]:
    """Return the name of the first guess, and its probability where the scores of all classes are known."""
    if scores.best is not None:
        return scores.names[int(scores.best[row, 0])], None
    values: Tensor = scores.values[row : row + 1]
    if values.isnan().any():
        return "no guess (NaN)", None
    first = int(topk_indices(values.clone(), 1)[0, 0])
    p = values.double().softmax(1) if scores.kind == "logits" else values.double()
    return scores.names[first], float(torch.nan_to_num(p)[0, first])
