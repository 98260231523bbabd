"""The tables of the pages, made of the results alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import isnan
from statistics import mean, median

from comparisons import DECAY_OFF, Comparison, Paired, compare, decay_gain, epochs_to_reach, results_of, tuning
from grid_b import NETWORK_METHODS
from grid_c import SPLITS
from methods import BASELINE, CURRICULA, METHODS, methods_of
from records import Record, Results
from settings import FULL, NETWORKS, NETWORKS_FULL, NETWORKS_SMOKE, SMOKE, STANDARD, Setting

__all__ = ["TABLES", "difference", "measured_settings", "middle", "points", "settings_by_name"]

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


def settings_by_name() -> dict[str, Setting]:
    """Return all settings that there are."""
    every = (*STANDARD, *FULL, *SMOKE, *NETWORKS, *NETWORKS_FULL, *NETWORKS_SMOKE)
    return {setting.name: setting for setting in every}


def measured_settings(records: Results, grid: str = "a") -> list[Setting]:
    """Return the settings in which cross entropy and at least one other method were tested."""
    known = settings_by_name()
    names = dict.fromkeys(r["setting"] for r in records if r["grid"] == grid and r["stage"] == "test")
    found = [known[name] for name in known if name in names]
    return [setting for setting in found if compare(records, setting.name, grid=grid)]


def difference(comparison: Comparison, *, share: bool = True) -> str:
    """Return a difference with its interval, and marks for what it shows; of shares in points, else as it is."""
    pair = comparison.paired
    arrow = ("↑" if pair.difference > 0 else "↓") if comparison.significant else ""
    marks = f" {arrow}{'=' if share and pair.equivalent else ''}".rstrip()
    return points(pair, share=share) + marks


def points(pair: Paired, *, share: bool = True) -> str:
    """Return a difference with its interval; of shares in points, else as it is."""
    scale = 100 if share else 1
    return f"{scale * pair.difference:+.1f} ± {scale * pair.half_width:.1f}".replace("-", "−")


def summary(records: Results) -> list[str]:
    """Return a row for each setting: cross entropy, and the difference of each method in top-5 accuracy."""
    settings = measured_settings(records)
    compared = {setting.name: compare(records, setting.name) for setting in settings}
    methods = [m.name for m in (*METHODS, *CURRICULA) if any(m.name in found for found in compared.values())]
    rows = []
    for setting in settings:
        base = results_of(records, setting.name, BASELINE).values()
        cells = [difference(found[m]) if m in (found := compared[setting.name]) else "" for m in methods]
        rows.append([setting.name, _percent(r["top5"] for r in base), *cells])
    return _table(["setting", "cross entropy, %", *methods], rows)


def details(records: Results, grid: str = "a") -> list[str]:
    """Return a table for each setting, with what was chosen and how easy it was to tune."""
    lines: list[str] = []
    for setting in measured_settings(records, grid):
        by_k = {k: compare(records, setting.name, f"top{k}", grid) for k in (1, 5, 10)}
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


def decay(records: Results) -> list[str]:
    """Return what tuning the weight decay gives cross entropy where labels are noisy, beside what a loss gives without."""
    rows = []
    for setting in measured_settings(records):
        name = setting.name.removesuffix(DECAY_OFF)
        gain = decay_gain(records, name, BASELINE)
        if setting.name != name and gain is not None:
            base = [
                _percent(r["top5"] for r in results_of(records, n, BASELINE).values()) for n in (setting.name, name)
            ]
            found = compare(records, setting.name)
            cells = [difference(found[m]) if m in found else "" for m in ("temperature CE", "smooth SVM, in logits")]
            rows.append([name, *base, points(gain), *cells])
    heads = ["setting", "cross entropy, decay off, %", "decay tuned, %", "gain by tuning the decay"]
    return _table([*heads, "temperature CE, decay off", "smooth SVM, decay off"], rows)


def networks(records: Results) -> list[str]:
    """Return the tables of grid B."""
    return details(records, "b") or ["Not run yet."]


def questions(records: Results) -> list[str]:
    """Return the tables of grid C, and whether its promises were kept."""
    lines: list[str] = []
    asked = {"set_size": "names in a set", "person": "sent to a person, %", "answered": "answered by roll-up, %"}
    for setting in measured_settings(records, "c"):
        compared = {name: compare(records, setting.name, name, "c") for name in asked}
        rows, every = [], list[Record]()
        for method in (BASELINE, *(m.name for m in methods_of(setting, full=True) if m.name in compared["person"])):
            found = list(results_of(records, setting.name, method, "c").values())
            every += found
            cells = []
            for name, of_method in compared.items():
                value = mean(r[name] for r in found) * (1 if name == "set_size" else 100)
                share = name != "set_size"
                cells += [f"{value:.1f}", "–" if method == BASELINE else difference(of_method[method], share=share)]
            rows.append([method, *cells])
        heads = [part for name in asked.values() for part in (name, "Δ")]
        splits = min(len(results_of(records, setting.name, row[0], "c")) for row in rows)
        lines += [f"**{setting.name}**, {splits} splits", "", *_table(["method", *heads], rows), "", _kept(every), ""]
    return lines or ["Not run yet."]


def _kept(records: Sequence[Record]) -> str:
    """Return what the promises came to over all trainings, in a sentence."""
    covered, named, told = ([100 * r[n] for r in records] for n in ("set_coverage", "named_wrong", "answered_wrong"))
    return (
        f"Means over all trainings: the right name in the set {mean(covered):.1f} % (promised: 90); named and wrong "
        f"{mean(named):.1f} % of all (at most 5); a wrong answer of the roll-up {mean(told):.1f} % of all (at most 10)."
    )


def speed(records: Results) -> list[str]:
    """Return the epochs after which the curricula come near to where cross entropy ends."""
    rows = []
    for setting in measured_settings(records):
        for method in (BASELINE, *(m.name for m in CURRICULA)):
            if setting.curricula and results_of(records, setting.name, method):
                near = [_epochs(epochs_to_reach(records, setting.name, method, below)) for below in (0.05, 0.01)]
                rows.append([setting.name, method, str(setting.epochs), *near])
    return _table(["setting", "training", "of epochs", "to within 5 points", "to within 1 point"], rows)


def missing(records: Results) -> list[str]:
    """Return what of the standard form is not there, as a list."""
    lines = []
    planned = [(setting, "a", [m.name for m in methods_of(setting)], 20) for setting in STANDARD]
    planned += [(setting, "b", list(NETWORK_METHODS), 8) for setting in NETWORKS]
    planned += [(s, "c", [m.name for m in methods_of(s)], SPLITS) for s in STANDARD if s.questions]
    for setting, grid, names, splits in planned:
        left = [name for name in names if len(results_of(records, setting.name, name, grid)) < splits]
        if left:
            what = "all methods" if len(left) == len(names) else ", ".join(left)
            lines.append(f"- {setting.name}{', questions after training' if grid == 'c' else ''}: {what}")
    return lines or ["None."]


def origins(records: Results) -> list[str]:
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
    "questions": questions,
    "speed": speed,
    "missing": missing,
    "origins": origins,
}


def middle(found: Sequence[int | None]) -> str:
    """Return the median of epochs, where those that never reach it count as later than all."""
    value = median(float("inf") if epoch is None else epoch for epoch in found)
    return "not reached" if value == float("inf") else f"{value:g}"


def _epochs(found: Sequence[int | None]) -> str:
    """Return the median, and how many never reach it."""
    never, value = sum(epoch is None for epoch in found), middle(found)
    return f"{value} ({never} of {len(found)} never)" if never else value


def _percent(values: Iterable[float]) -> str:
    return f"{100 * mean(values):.1f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]
