"""What the results say: paired differences to cross entropy with their doubt, and how easy a method is to tune."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median, stdev

from grid_a import choose
from methods import BASELINE
from records import Record, Results

try:
    from scipy import stats
except ModuleNotFoundError:
    sys.exit('scipy must be installed for the study, got none. Run pip install "topk-lightning[study]".')

__all__ = [
    "DECAY_OFF",
    "MARGIN",
    "Comparison",
    "Paired",
    "Tuning",
    "compare",
    "decay_gain",
    "epochs_to_reach",
    "holm",
    "paired",
    "results_of",
    "tuning",
]

#: A difference of at most one point of accuracy does not matter.
MARGIN = 0.01
LEVEL = 0.95
#: How the name of a setting ends whose weight decay is next to none.
DECAY_OFF = ", decay off"
_POWER = 0.8


@dataclass(frozen=True)
class Paired:
    """Differences of two methods on the same splits.

    Attributes:
        splits: their number.
        difference: their mean.
        half_width: of the 95 % t interval of the mean, over redraws of this data set.
        p: of the t test that the mean is 0.
        detectable: the smallest difference that such a comparison finds in four of five cases.
    """

    splits: int
    difference: float
    half_width: float
    p: float
    detectable: float

    @property
    def equivalent(self) -> bool:
        """Whether the interval lies within the margin."""
        return abs(self.difference) + self.half_width < MARGIN


@dataclass(frozen=True)
class Comparison:
    """A method in a setting, beside cross entropy.

    Attributes:
        paired: its differences to cross entropy.
        adjusted_p: p after Holm, over the methods of the setting.
    """

    paired: Paired
    adjusted_p: float

    @property
    def significant(self) -> bool:
        """Whether the difference is shown not to be 0."""
        return self.adjusted_p < 1 - LEVEL


@dataclass(frozen=True)
class Tuning:
    """How easy a method is to tune.

    Attributes:
        chosen: the candidate, one of its records.
        best: its mean top-5 accuracy over the tuning splits.
        median: that of the median candidate.
        regret: what choosing on one tuning split alone costs on the others, on average.
    """

    chosen: Record
    best: float
    median: float
    regret: float


def paired(values: Sequence[float], baseline: Sequence[float]) -> Paired:
    """Return the differences of values to those of the baseline on the same splits, at least two."""
    differences = [value - base for value, base in zip(values, baseline, strict=True)]
    number, centre = len(differences), mean(differences)
    error = stdev(differences) / math.sqrt(number)
    student = stats.t(number - 1)
    width = float(student.ppf((1 + LEVEL) / 2))
    p = 2 * float(student.sf(abs(centre) / error)) if error else float(centre == 0)
    return Paired(number, centre, width * error, p, (width + float(student.ppf(_POWER))) * error)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values adjusted for their number: the smallest times m, the next times m − 1, never falling."""
    adjusted, largest = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = largest
    return adjusted


def compare(records: Results, setting: str, measure: str = "top5", grid: str = "a") -> dict[str, Comparison]:
    """Return each method of a setting that was tested on at least two splits beside cross entropy, by a figure of the results."""
    methods = dict.fromkeys(r["method"] for r in records if (r["grid"], r["setting"]) == (grid, setting))
    values = {method: results_of(records, setting, method, grid) for method in methods if method != BASELINE}
    base = results_of(records, setting, BASELINE, grid)
    found = {}
    for method, of_split in values.items():
        common = sorted(of_split.keys() & base.keys())
        if len(common) > 1:
            mine, theirs = ([rows[split][measure] for split in common] for rows in (of_split, base))
            found[method] = paired(mine, theirs)
    adjusted = holm([pair.p for pair in found.values()])
    return {m: Comparison(found[m], p) for m, p in zip(found, adjusted, strict=True)}


def results_of(records: Results, setting: str, method: str, grid: str = "a") -> dict[int, Record]:
    """Return the test of the chosen candidate on each split; grid C has those that grid A chose."""
    chosen = choose(records, setting, method, "a" if grid == "c" else grid)
    return {r["split"]: r for r in records.cell(grid, setting, method, "test") if r["candidate"] == chosen}


def tuning(records: Results, setting: str, method: str, grid: str = "a") -> Tuning | None:
    """Return how the candidates of a method did on the tuning splits; None without any."""
    chosen = choose(records, setting, method, grid)
    rows = records.cell(grid, setting, method, "tuning")
    if chosen is None:
        return None
    scores: dict[int, dict[int, float]] = {}
    for row in rows:
        scores.setdefault(row["candidate"], {})[row["split"]] = row["top5"]
    means = {candidate: mean(of_split.values()) for candidate, of_split in scores.items()}
    record = next(row for row in rows if row["candidate"] == chosen)
    splits = sorted({row["split"] for row in rows})
    return Tuning(record, means[chosen], median(means.values()), mean(_regrets(scores, splits)))


def _regrets(scores: dict[int, dict[int, float]], splits: Sequence[int]) -> list[float]:
    """Return, for each split, what its best candidate loses to the best one on the other splits."""
    found = []
    for split in splits:
        others = {
            c: mean(s for n, s in of.items() if n != split) for c, of in scores.items() if len(of) == len(splits) > 1
        }
        if others:
            found.append(max(others.values()) - others[max(sorted(others), key=lambda c: scores[c][split])])
    return found or [math.nan]


def decay_gain(records: Results, setting: str, method: str) -> Paired | None:
    """Return what a tuned weight decay gives a method over next to none, in top-5 accuracy; None where that was not tested."""
    tuned, untuned = results_of(records, setting, method), results_of(records, f"{setting}{DECAY_OFF}", method)
    common = sorted(tuned.keys() & untuned.keys())
    if len(common) < 2:
        return None
    return paired([tuned[n]["top5"] for n in common], [untuned[n]["top5"] for n in common])


def epochs_to_reach(records: Results, setting: str, method: str, below: float) -> list[int | None]:
    """Return, for each split, the first epoch with a top-5 accuracy of cross entropy's last less `below`; None: never."""
    base, found = results_of(records, setting, BASELINE), results_of(records, setting, method)
    epochs: list[int | None] = []
    for split in sorted(found.keys() & base.keys()):
        bar = base[split]["curve"][-1][1] - below
        reached = [epoch for epoch, values in enumerate(found[split]["curve"], 1) if values[1] >= bar]
        epochs.append(reached[0] if reached else None)
    return epochs
