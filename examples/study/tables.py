"""The tables of the pages, made of the results alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import isnan
from statistics import mean, median

from comparisons import Comparison, compare, epochs_to_reach, paired, results_of, tuning
from grid_b import NETWORK_METHODS
from methods import BASELINE, CURRICULA, METHODS, methods_of
from records import Record
from settings import FULL, NETWORKS, NETWORKS_FULL, NETWORKS_SMOKE, SMOKE, STANDARD, Setting

__all__ = ["TABLES", "difference", "measured_settings"]


_DECAY_OFF = ", decay off"
_DETAILS = [
    "method",
    "chosen",
    "top-1, %",
    "top-5, %",
    "Δ top-1",
    "Δ top-5",
    "Δ top-10",
    "detectable",
    "median",
    "regret",
    "seconds",
]


def measured_settings(records: Sequence[Record], grid: str = "a") -> list[Setting]:
    """Return the settings in which cross entropy and at least one other method were tested."""
    every = (*STANDARD, *FULL, *SMOKE, *NETWORKS, *NETWORKS_FULL, *NETWORKS_SMOKE)
    known = {setting.name: setting for setting in every}
    names = dict.fromkeys(r["setting"] for r in records if r["grid"] == grid and r["stage"] == "test")
    found = [known[name] for name in known if name in names]
    return [setting for setting in found if compare(records, setting.name, 5, grid)]


def difference(comparison: Comparison) -> str:
    """Return a difference in points with its interval, and marks for what it shows."""
    pair = comparison.paired
    arrow = ("↑" if pair.difference > 0 else "↓") if comparison.significant else ""
    marks = f" {arrow}{'=' if pair.equivalent else ''}".rstrip()
    return f"{100 * pair.difference:+.1f} ± {100 * pair.half_width:.1f}{marks}".replace("-", "−")


def summary(records: Sequence[Record]) -> list[str]:
    """Return a row for each setting: cross entropy, and the difference of each method in top-5 accuracy."""
    settings = measured_settings(records)
    compared = {setting.name: compare(records, setting.name, 5) for setting in settings}
    methods = [m.name for m in (*METHODS, *CURRICULA) if any(m.name in found for found in compared.values())]
    rows = []
    for setting in settings:
        base = results_of(records, setting.name, BASELINE).values()
        cells = [difference(found[m]) if m in (found := compared[setting.name]) else "" for m in methods]
        rows.append([setting.name, _percent(r["top5"] for r in base), *cells])
    return _table(["setting", "cross entropy, %", *methods], rows)


def details(records: Sequence[Record], grid: str = "a") -> list[str]:
    """Return a table for each setting, with what was chosen and how easy it was to tune."""
    lines: list[str] = []
    for setting in measured_settings(records, grid):
        by_k = {k: compare(records, setting.name, k, grid) for k in (1, 5, 10)}
        rows = []
        for name in (BASELINE, *(m.name for m in methods_of(setting, full=True, curricula=True) if m.name in by_k[5])):
            tests, tuned = results_of(records, setting.name, name, grid), tuning(records, setting.name, name, grid)
            if tuned is None:
                continue
            chosen = tuned.chosen
            option = f"{chosen['option']}, " if chosen["option"] else ""
            differences = ["–"] * 3 if name == BASELINE else [difference(by_k[k][name]) for k in (1, 5, 10)]
            detectable = "–" if name == BASELINE else f"{100 * by_k[5][name].paired.detectable:.1f}"
            rows.append(
                [
                    name,
                    f"{option}rate {chosen['learning_rate']:g}, decay {chosen['decay']:g}",
                    *(_percent(r[f"top{k}"] for r in tests.values()) for k in (1, 5)),
                    *differences,
                    detectable,
                    f"{100 * (tuned.median - tuned.best):.1f}".replace("-", "−"),
                    "–" if isnan(tuned.regret) else f"{100 * tuned.regret:.1f}",
                    f"{mean(r['seconds'] for r in tests.values()):.2f}",
                ]
            )
        splits = min(len(results_of(records, setting.name, row[0], grid)) for row in rows)
        lines += [f"**{setting.name}**, {setting.epochs} epochs, {splits} splits", ""]
        lines += [*_table(_DETAILS, rows), ""]
    return lines


def decay(records: Sequence[Record]) -> list[str]:
    """Return what tuning the weight decay gives cross entropy where labels are noisy, beside what a loss gives without."""
    rows = []
    for setting in measured_settings(records):
        tuned = results_of(records, setting.name.removesuffix(_DECAY_OFF), BASELINE)
        untuned = results_of(records, setting.name, BASELINE)
        common = sorted(tuned.keys() & untuned.keys())
        if setting.name.endswith(_DECAY_OFF) and len(common) > 1:
            pair = paired([tuned[n]["top5"] for n in common], [untuned[n]["top5"] for n in common])
            found = compare(records, setting.name, 5)
            cells = [difference(found[m]) if m in found else "" for m in ("temperature CE", "smooth SVM, in logits")]
            gain = f"{100 * pair.difference:+.1f} ± {100 * pair.half_width:.1f}"
            base = (_percent(r["top5"] for r in untuned.values()), _percent(r["top5"] for r in tuned.values()))
            rows.append([setting.name.removesuffix(_DECAY_OFF), *base, gain, *cells])
    heads = ["setting", "cross entropy, decay off, %", "decay tuned, %", "gain by tuning the decay"]
    return _table([*heads, "temperature CE, decay off", "smooth SVM, decay off"], rows)


def networks(records: Sequence[Record]) -> list[str]:
    """Return the tables of grid B."""
    return details(records, "b") or ["Not run yet."]


def speed(records: Sequence[Record]) -> list[str]:
    """Return the epochs after which the curricula come near to where cross entropy ends."""
    rows = []
    for setting in measured_settings(records):
        for method in (BASELINE, *(m.name for m in CURRICULA)):
            if setting.curricula and results_of(records, setting.name, method):
                near = [_epochs(epochs_to_reach(records, setting.name, method, below)) for below in (0.05, 0.01)]
                rows.append([setting.name, method, str(setting.epochs), *near])
    return _table(["setting", "training", "of epochs", "to within 5 points", "to within 1 point"], rows)


def missing(records: Sequence[Record]) -> list[str]:
    """Return what of the standard form is not there, as a list."""
    lines = []
    planned = [(setting, "a", [m.name for m in methods_of(setting)], 20) for setting in STANDARD]
    planned += [(setting, "b", list(NETWORK_METHODS), 8) for setting in NETWORKS]
    for setting, grid, names, splits in planned:
        left = [name for name in names if len(results_of(records, setting.name, name, grid)) < splits]
        if left:
            what = "all methods" if len(left) == len(names) else ", ".join(left)
            lines.append(f"- {setting.name}: {what}")
    return lines or ["Nothing."]


def origins(records: Sequence[Record]) -> list[str]:
    """Return what made the results."""
    parts = ("machine", "python", "torch", "topk_lightning", "version")
    counts = Counter(tuple(record[part] for part in parts) for record in records)
    rows = [[str(count), *map(str, origin)] for origin, count in counts.items()]
    return _table(["trainings", "machine", "Python", "torch", "topk-lightning", "study"], rows)


TABLES = {
    "summary": summary,
    "decay": decay,
    "details": details,
    "networks": networks,
    "speed": speed,
    "missing": missing,
    "origins": origins,
}


def _epochs(found: Sequence[int | None]) -> str:
    """Return the median, where those that never reach it count as later than all, and how many these are."""
    middle = median(float("inf") if epoch is None else epoch for epoch in found)
    never = sum(epoch is None for epoch in found)
    value = "not reached" if middle == float("inf") else f"{middle:g}"
    return f"{value} ({never} of {len(found)} never)" if never else value


def _percent(values: Iterable[float]) -> str:
    return f"{100 * mean(values):.1f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]
