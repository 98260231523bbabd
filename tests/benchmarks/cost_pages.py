"""The figures of bench_losses.py as Markdown tables, and their places in the pages of the losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["SHAPES", "pages", "write_pages"]

DOCS = Path(__file__).parents[2] / "docs"
_ERRORS = "Relative error of a peer's value, and of its gradient, against ours in float64 (64 rows, 100 classes)."
BEGIN, END = "<!-- costs -->", "<!-- end of costs -->"
CHOOSING = DOCS / "choosing.md"

SHAPES = ((16, 100_000), (64, 10_000), (256, 1000), (256, 100))
BASE = "F.cross_entropy"

#: The rows of each page; a peer stands below what it is compared with.
ROWS: dict[str, list[str]] = {
    "temperature_cross_entropy": ["TemperatureCrossEntropyLoss"],
    "smooth_topk_svm": ["SmoothTopKSVMLoss", "difftopk, SmoothTopKLoss"],
    "truncated_topk_entropy": ["TruncatedTopKEntropyLoss"],
    "grouped_topk_cross_entropy": ["GroupedTopKCrossEntropyLoss"],
    "soft_topk": ["SoftTopKLoss, logistic", "SoftTopKLoss, Laplace"],
    "topk_cross_entropy": [
        "SoftSort, 16 candidates",
        "difftopk, SoftSort, 16 candidates",
        "SoftSort, all classes",
        "difftopk, SoftSort, all classes",
        "NeuralSort, 16 candidates",
        "difftopk, NeuralSort, 16 candidates",
        "NeuralSort, all classes",
    ],
    "topk_hinge": ["CalibratedTopKHingeLoss", "NoisedTopKHingeLoss", "pytopk, BalNoisedTopK"],
}
#: Which row gives the cost of a row of choosing.md, by the page that its first cell links to, or by its text.
IN_CHOOSING = {
    "losses/temperature_cross_entropy.md": "TemperatureCrossEntropyLoss",
    "losses/smooth_topk_svm.md": "SmoothTopKSVMLoss",
    "losses/truncated_topk_entropy.md": "TruncatedTopKEntropyLoss",
    "losses/grouped_topk_cross_entropy.md": "GroupedTopKCrossEntropyLoss",
    "losses/soft_topk.md": "SoftTopKLoss, logistic",
    "losses/topk_cross_entropy.md": "SoftSort, 16 candidates",
    "[calibrated hinge]": "CalibratedTopKHingeLoss",
    "[noised hinge]": "NoisedTopKHingeLoss",
}


def pages(reused: dict[str, Any], fresh: dict[str, Any], errors: dict[str, dict[str, str]]) -> dict[str, str]:
    """Return the text of each page, by its name below docs/."""
    texts = {}
    for page, rows in ROWS.items():
        times = _times(reused, rows)
        large = " – would not fit into the memory." if "–" in times else ""
        parts = [times, f"{_caption(reused)} Blocks of memory are reused.{large}"]
        compared = {name: errors[name] for name in rows if errors.get(name)}
        if compared:
            parts += [_errors(compared), _ERRORS]
        texts[f"losses/{page}.md"] = "\n\n".join(parts)
    every = [row for rows in ROWS.values() for row in rows]
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
        name = next(
            (row for mark, row in IN_CHOOSING.items() if line.startswith("| [") and mark in line.split("|")[1]), None
        )
        if name is not None:
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
