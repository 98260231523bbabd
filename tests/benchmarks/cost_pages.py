"""The figures of bench_losses.py as Markdown tables, and their places in the pages of the losses."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from topk_lightning import losses

__all__ = ["BASE", "LOSSES", "SHAPES", "page_of", "pages", "rows_of_pages", "variants", "write_pages"]

DOCS = Path(__file__).parents[2] / "docs"
_ERRORS = "Relative error of a peer's value, and of its gradient, against ours in float64 (64 rows, 100 classes)."
BEGIN, END = "<!-- costs -->", "<!-- end of costs -->"
CHOOSING = DOCS / "choosing.md"

SHAPES = ((16, 100_000), (64, 10_000), (256, 1000), (256, 100))
BASE = "F.cross_entropy"

LOSSES = [name for name in losses.__all__ if name.endswith("Loss")]
#: The options that are measured of a loss, by the name of their row; without an entry its defaults.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "TemperatureCrossEntropyLoss": {"TemperatureCrossEntropyLoss": {"temperature": 2.0}},
    "SoftTopKLoss": {"SoftTopKLoss, logistic": {}, "SoftTopKLoss, Laplace": {"membership": "laplace"}},
    "TopKCrossEntropyLoss": {
        f"{name}, {candidates or 'all'} {'candidates' if candidates else 'classes'}": {
            "relaxation": name.lower(),
            "num_candidates": candidates,
        }
        for name in ("SoftSort", "NeuralSort")
        for candidates in (16, None)
    },
}
#: Losses that share a page.
PAGES = {"CalibratedTopKHingeLoss": "topk_hinge", "NoisedTopKHingeLoss": "topk_hinge"}
#: Below which of our rows a peer stands, by what its name ends with.
BESIDE = {"SmoothTopKLoss": "SmoothTopKSVMLoss", "BalNoisedTopK": "NoisedTopKHingeLoss"}


def variants(loss: str) -> dict[str, dict[str, Any]]:
    """Return the options that are measured of a loss, by the name of their row."""
    return VARIANTS.get(loss, {loss: {}})


def page_of(loss: str) -> str:
    """Return the name of a loss's page: that of its file, unless it shares one."""
    file = getattr(losses, loss).__module__.rpartition(".")[2]
    return PAGES.get(loss, file)


def rows_of_pages(peers: Iterable[str]) -> dict[str, list[str]]:
    """Return the rows of each page; a peer stands below what it is compared with."""
    found: dict[str, list[str]] = {}
    for loss in LOSSES:
        rows = found.setdefault(page_of(loss), [])
        for row in variants(loss):
            ends = {peer: peer.partition(", ")[2] for peer in peers}
            rows += [row, *(peer for peer, end in ends.items() if BESIDE.get(end, end) == row)]
    return found


def pages(reused: dict[str, Any], fresh: dict[str, Any], errors: dict[str, dict[str, str]]) -> dict[str, str]:
    """Return the text of each page, by its name below docs/."""
    texts = {}
    for page, rows in rows_of_pages(reused["seconds"]).items():
        times = _times(reused, rows)
        large = " – would not fit into the memory." if "–" in times else ""
        parts = [times, f"{_caption(reused)} Blocks of memory are reused.{large}"]
        compared = {name: errors[name] for name in rows if errors.get(name)}
        if compared:
            parts += [_errors(compared), _ERRORS]
        texts[f"losses/{page}.md"] = "\n\n".join(parts)
    every = [row for rows in rows_of_pages(reused["seconds"]).values() for row in rows]
    texts["losses/index.md"] = "\n\n".join(
        [
            "Where the allocator reuses its blocks, and cross entropy is fastest:",
            _times(reused, every),
            "Where it takes large blocks from the system and gives them back in each call:",
            _times(fresh, every),
            _caption(reused),
        ]
    )
    return texts


def write_pages(texts: dict[str, str], reused: dict[str, Any]) -> None:
    """Put the texts between the marks of their pages, and the costs into the table of choosing.md."""
    for page, text in texts.items():
        path = DOCS / page
        before, rest = path.read_text().split(BEGIN)
        path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")
    lines = CHOOSING.read_text().splitlines()
    head = next(line for line in lines if line.startswith("| loss |"))
    column = next(i for i, cell in enumerate(head.split("|")) if "cost ÷" in cell)
    for number, line in enumerate(lines):
        # A row of the table names its loss by the page that it links to, and where two share one by its first word.
        first = line.split("|")[1] if line.startswith("| [") else ""
        own = [loss for loss in LOSSES if f"losses/{page_of(loss)}.md" in first]
        if len(own) > 1:
            own = [loss for loss in own if loss.lower().startswith(first.strip(" [").split(" ")[0])]
        if own:
            name = next(iter(variants(own[0])))
            cells = line.split("|")
            cells[column] = f" {', '.join(_ratio(reused, name, shape) for shape in (SHAPES[2], SHAPES[0]))} "
            lines[number] = "|".join(cells)
    CHOOSING.write_text("\n".join(lines) + "\n")


def _ratio(found: dict[str, Any], name: str, shape: tuple[int, int]) -> str:
    """Return a time in units of cross entropy's at the same shape, to two digits."""
    seconds = found["seconds"].get(name, {}).get(str(shape))
    if seconds is None:
        return "–"
    ratio = seconds / found["seconds"][BASE][str(shape)]
    return f"{ratio:.1f}" if ratio < 9.95 else f"{ratio:.0f}"


def _times(found: dict[str, Any], rows: list[str]) -> str:
    seconds, memory = found["seconds"], found["memory"]
    lines = [
        " | ".join(["| time ÷ cross entropy", *map(str, SHAPES), *(["memory"] if memory else [])]) + " |",
        "|---|" + "---:|" * (len(SHAPES) + bool(memory)),
    ]
    for name in (BASE, *rows):
        if name in seconds:
            base = [f"1 ({seconds[name][str(shape)] * 1e3:.2g} ms)" for shape in SHAPES] if name == BASE else []
            cells = [name, *(base or [_ratio(found, name, shape) for shape in SHAPES])]
            cells += [f"{memory[name]:.1f}" if name in memory else "–"] if memory else []
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _caption(found: dict[str, Any]) -> str:
    return (
        "Time forward and backward ÷ that of `F.cross_entropy`, and memory held beyond the gradient ÷ logits at (64, 10000), in "
        f"one run: k = 5, float32, one CPU thread, torch {found['torch'].partition('+')[0]}, "
        "`tests/benchmarks/bench_losses.py`."
    )


def _errors(compared: dict[str, dict[str, str]]) -> str:
    cases = list(next(iter(compared.values())))
    lines = [f"| | {' | '.join(compared)} |", "|---|" + "---|" * len(compared)]
    return "\n".join(lines + [f"| {case} | {' | '.join(one[case] for one in compared.values())} |" for case in cases])
