"""Grid C: the questions after training. What a person is shown, must see, or is told of a group, by the loss of the training.

The chosen candidate of grid A is trained again on some of its test splits. Of the images to measure on a quarter gives the
temperature of the probabilities, three eighths fit the decisions, and three eighths, which nothing has seen, test them.
"""

from __future__ import annotations

from pathlib import Path

from grid_a import Budget, Member, choose, record_of, run_method, split_of
from methods import method_named
from records import Records
from settings import Setting, candidates
from splits import Split
from torch import Tensor
from training import train

from topk_lightning import TemperatureScaler
from topk_lightning.decisions import PredictionSets, measure_sets, review_plan, roll_up

__all__ = ["QUESTIONS", "SPLITS", "answers", "run_and_ask"]

#: Test splits of grid A on which is asked.
SPLITS = 10
#: What is recorded of a training: by its name in the results, what it is in words.
QUESTIONS = {
    "set_size": "names in a set",
    "set_coverage": "right name in the set",
    "named": "named without a person",
    "person": "sent to a person",
    "named_wrong": "named and wrong",
    "answered": "answered by roll-up",
    "answered_wrong": "answered and wrong",
}


def run_and_ask(setting: Setting, name: str, budget: Budget, records: Records, cache: Path) -> None:
    """Tune and test a method in a setting and, where the setting says so, ask; what the records hold is not done again."""
    run_method(setting, name, budget, records, cache)
    if setting.questions:
        _ask(setting, name, min(SPLITS, budget.test_splits), records, cache)


def _ask(setting: Setting, name: str, splits: int, records: Records, cache: Path) -> None:
    known = records.read()
    chosen = choose(known, setting.name, name)
    done = {record["split"] for record in known.cell("c", setting.name, name, "test")}
    members = [
        Member(c, "test", number)
        for c in candidates(setting)
        if c.number == chosen
        for number in range(splits)
        if number not in done
    ]
    if not members:
        return
    method, option = method_named(setting, name), members[0].candidate.option
    drawn = [split_of(setting, member.split, False, cache) for member in members]
    losses = [method.loss(option, split) for split in (drawn if method.by_split else drawn[:1])]
    trained = train(setting, drawn, [m.candidate for m in members], losses)
    records.add(
        {**record_of(setting, method, member, accuracies, None, None), "grid": "c", **answers(logits, split)}
        for member, accuracies, logits, split in zip(members, trained.accuracies, trained.logits, drawn, strict=True)
    )


def answers(logits: Tensor, split: Split) -> dict[str, float]:
    """Return what each question comes to on the last images of a split, by the names of `QUESTIONS`."""
    quarter, fitted = len(logits) // 4, 5 * len(logits) // 8
    logits = TemperatureScaler().fit(logits[:quarter], split.truth[:quarter])(logits)
    fit = (logits[quarter:fitted], split.truth[quarter:fitted])
    test = (logits[fitted:], split.truth[fitted:])
    sets = measure_sets(PredictionSets(coverage=0.9).fit(*fit), *test).summary
    plan = review_plan(*fit, target_error=0.05).outcome(*test)
    names = [str(number) for number in range(logits.shape[1])]
    told = roll_up(*fit, hierarchy=split.groups.tolist(), class_names=names, target_error=0.1).outcome(*test)
    values = {
        "set_size": sets.mean_size,
        "set_coverage": sets.coverage,
        "named": plan.accepted / plan.images,
        "person": plan.person / plan.images,
        "named_wrong": plan.error,
        "answered": told.share,
        "answered_wrong": told.error,
    }
    return {name: round(value, 6) for name, value in values.items()}
