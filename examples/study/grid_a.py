"""Grid A: every method on small networks in every setting, tuned on some splits and tested on others."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import mean

from methods import BASELINE, CURRICULA, Method, method_named
from records import Record, Records, Results, origin
from settings import Candidate, Setting, candidates
from splits import Split, Splits
from training import train

__all__ = ["Budget", "Member", "choose", "record_of", "run_method", "split_of"]

# Members of one batched training: what a kill loses.
_MEMBERS = 20


@dataclass(frozen=True)
class Budget:
    """How much is tried.

    Attributes:
        candidates: of each method.
        tuning_splits: on which they are compared.
        test_splits: on which the chosen one is tested.
    """

    candidates: int = 16
    tuning_splits: int = 4
    test_splits: int = 20


@dataclass(frozen=True)
class Member:
    """One training of a method."""

    candidate: Candidate
    stage: str
    split: int


def choose(records: Results, setting: str, method: str, grid: str = "a") -> int | None:
    """Return the candidate of the best mean top-5 accuracy over the tuning splits, the first of equals."""
    scores: dict[int, list[float]] = {}
    for record in records.cell(grid, setting, method, "tuning"):
        scores.setdefault(record["candidate"], []).append(record["top5"])
    return max(sorted(scores), key=lambda number: mean(scores[number])) if scores else None


def run_method(setting: Setting, name: str, budget: Budget, records: Records, cache: Path) -> None:
    """Tune a method in a setting and test what was chosen; what the records hold is not done again."""
    method = method_named(setting, name)
    known = candidates(setting)[: budget.candidates]
    members = [Member(c, "tuning", number) for c in known for number in range(budget.tuning_splits)]
    _run(setting, method, members, records, cache)
    chosen = choose(records.read(), setting.name, method.name)
    members = [Member(c, "test", number) for c in known if c.number == chosen for number in range(budget.test_splits)]
    _run(setting, method, members, records, cache)


def _run(setting: Setting, method: Method, members: Sequence[Member], records: Records, cache: Path) -> None:
    known = records.read()
    done = {
        (record["candidate"], stage, record["split"])
        for stage in ("tuning", "test")
        for record in known.cell("a", setting.name, method.name, stage)
    }
    missing = [m for m in members if (m.candidate.number, m.stage, m.split) not in done]
    for batch in _batches(missing, len(method.values)):
        splits = [split_of(setting, m.split, m.stage == "tuning", cache) for m in batch]
        option = batch[0].candidate.option
        losses = [method.loss(option, split) for split in (splits if method.by_split else splits[:1])]
        with_curves = setting.curricula and batch[0].stage == "test" and method.name in _FOLLOWED
        started = time.process_time()
        trained = train(setting, splits, [m.candidate for m in batch], losses, curves=with_curves)
        seconds = round((time.process_time() - started) / len(batch), 3)
        curves = trained.curves if with_curves else [None] * len(batch)
        records.add(
            record_of(setting, method, member, accuracies, curve, seconds)
            for member, accuracies, curve in zip(batch, trained.accuracies, curves, strict=True)
        )


_FOLLOWED = (BASELINE, *(method.name for method in CURRICULA))


def _batches(members: Sequence[Member], options: int) -> Iterator[list[Member]]:
    """Yield members that share the value of the own option, not too many at once."""
    for value in range(options):
        alike = [member for member in members if member.candidate.option % options == value]
        for start in range(0, len(alike), _MEMBERS):
            yield alike[start : start + _MEMBERS]


@lru_cache(maxsize=24)
def split_of(setting: Setting, number: int, tuning: bool, cache: Path) -> Split:
    """Return a split of a setting, drawn once for all methods."""
    return Splits(setting, cache).draw(number, tuning=tuning)


def record_of(
    setting: Setting,
    method: Method,
    member: Member,
    accuracies: Sequence[float],
    curve: Sequence[Sequence[float]] | None,
    seconds: float | None,
) -> Record:
    """Return what is kept of a training."""
    candidate = member.candidate
    option = method.values[candidate.option % len(method.values)]
    return {
        "grid": "a",
        "setting": setting.name,
        "method": method.name,
        "candidate": candidate.number,
        "stage": member.stage,
        "split": member.split,
        "learning_rate": candidate.learning_rate,
        "decay": candidate.decay,
        "option": f"{method.option} {option}" if method.option else "",
        **{f"top{k}": round(value, 6) for k, value in zip((1, 5, 10), accuracies, strict=True)},
        "curve": None if curve is None else [[round(value, 4) for value in epoch] for epoch in curve],
        "epochs": setting.epochs,
        "seconds": seconds,
        **origin(),
    }
