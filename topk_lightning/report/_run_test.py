"""Run a test: one pass over the test images, and what validation and training images say beside it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.class_names import check_class_names, distinct_names
from topk_lightning._checks.options import check_k
from topk_lightning.classifier import ClassMatch, match_classes
from topk_lightning.data import TrainingData, count_trained_on
from topk_lightning.decisions import ClassList, PredictionSets, SetMeter, fewest_images
from topk_lightning.hierarchy import Hierarchy, read_levels
from topk_lightning.metrics import CalibrationError, ClassReport
from topk_lightning.networks.outputs import are_probabilities
from topk_lightning.prediction import TrainedModel
from topk_lightning.ranking import target_rank
from topk_lightning.report._decisions import Decided, DecisionMeters
from topk_lightning.report._evaluation import Evaluation, Evaluator
from topk_lightning.report._labelled_images import LabelledImages
from topk_lightning.report._provenance import facts_of_the_model, facts_of_the_run, stopwatch
from topk_lightning.report._results import Results
from topk_lightning.report._splits import DataSplits
from topk_lightning.temperature_scaler import BOUNDS, TemperatureScaler

__all__ = ["SAMPLE", "Labels", "Scaled", "best_temperature", "classes_of", "given_levels", "run_test"]

#: Images of training and of validation that are looked at: enough for an accuracy to two digits and for one temperature.
SAMPLE = 1000

#: What sets of names promise, and the images that a fit has at least.
_PROMISES, _LEAST = (0.8, 0.9, 0.95), 9


@dataclass(frozen=True)
class Labels:
    """What the caller says of the classes: their groups, and whether their names were given rather than read."""

    hierarchy: Any
    names_given: bool


def run_test(
    model: TrainedModel,
    data: DataSplits,
    *,
    labels: Labels,
    k: int | None,
    epochs: tuple[str, Sequence[Mapping[str, Any]]],
    facts: Mapping[str, str],
    hard_images: int,
) -> Results:
    """Return what the test came to; see :class:`Results` and :func:`topk_lightning.write_report`."""
    seconds = stopwatch()
    names, match = classes_of(model, data, labels.names_given)
    num_classes, shown = len(names), distinct_names(names)
    fitting = [number for number in {1, *(model.k or (3, 5))} if number <= num_classes]
    k = max(fitting) if k is None else check_k(k, num_classes)
    evaluator, device = Evaluator(model, num_classes, match, model.classes), model.device
    levels = given_levels(labels.hierarchy, names) or _levels_of_data(data.levels, match)
    if model.classes is not None:
        num_classes, shown = len(model.classes.indices), distinct_names(model.classes.class_names)
        levels = {name: model.classes.level(level) for name, level in levels.items()}
        fitting = [number for number in fitting if number <= num_classes]
        k = min(k, num_classes)

    report = ClassReport(num_classes, tuple(sorted({*fitting, k})), shown).to(device)
    calibration, scaled = CalibrationError().to(device), CalibrationError().to(device)
    metrics: list[Any] = [report, calibration]
    validation = _sample(evaluator, data.validation)
    scaler = None if validation is None else best_temperature(*validation)
    if scaler is not None:
        metrics.append(Scaled(scaled, scaler))
    meters = set_meters(_fitted_sets(validation, model))
    are_logits = validation is None or not are_probabilities(validation[0])
    decisions = DecisionMeters(validation, replace(model.fits, sets=None), levels, shown) if are_logits else None
    decided = [] if decisions is None else [decisions]
    evaluation = evaluator.evaluate(data.test, k, *metrics, *meters, *decided)
    possible = "" if model.classes is None else possible_sentence(model.classes, evaluation)
    return Results(
        data=data,
        class_names=shown,
        k=k,
        report=report.cpu(),
        evaluation=evaluation,
        calibration=calibration.cpu().curve(),
        scaled=None if scaler is None else scaled.cpu().curve(),
        temperature=None if scaler is None else (float(scaler.temperature), *scaler.confidence_interval()),
        train_accuracy=_accuracy(evaluator, data.training),
        val_accuracy=None if validation is None else _top1(*validation),
        levels=levels,
        epochs=epochs,
        facts=[
            *facts_of_the_model(model),
            ("Data", data.description),
            *([("Classes", match.remark)] if match.remark else []),
            *([("Possible classes", possible)] if possible else []),
            *facts.items(),
            *facts_of_the_run(device, seconds()),
        ],
        hard_images=hard_images,
        sets=[] if evaluation.outside.are_probabilities else [meter.outcome() for meter in meters],
        decided=Decided() if decisions is None or evaluation.outside.are_probabilities else decisions.decided(),
        possible=possible,
        trained_on=_trained_on(model, data.test, evaluation.index.tolist()),
    )


class Scaled:
    """Pass logits on, divided by a temperature."""

    def __init__(self, metric: CalibrationError, scaler: TemperatureScaler) -> None:
        self.metric, self.scaler = metric, scaler

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Count one batch."""
        self.metric.update(self.scaler.to(logits.device)(logits), target)


def classes_of(model: TrainedModel, data: DataSplits, names_given: bool) -> tuple[list[str], ClassMatch]:
    """Return the names of the model's classes, and which of them each class of the data is."""
    names = model.class_names
    if names is None or names_given:  # names that are not the model's own are held against its outputs
        num_classes = Evaluator(model, None).count_outputs(data.test)
    else:
        num_classes = len(names)
    if names is not None:
        check_class_names(names, num_classes)
    elif data.class_names is not None and len(data.class_names) != num_classes:
        remedy = "Is this the checkpoint of another model?"
        raise InvalidValueError(
            must("data", f"have the {num_classes} classes of the model", len(data.class_names), remedy)
        )
    if data.class_names is None:
        match = ClassMatch(tuple(range(num_classes)), num_classes, by_name=False)
    else:
        match = match_classes(names, data.class_names, num_classes)
    return names or data.class_names or [f"class {index}" for index in range(num_classes)], match


def _trained_on(model: TrainedModel, images: LabelledImages, tested: Sequence[int]) -> int | None:
    """Return how many of the tested images have the pixels of training images; None where these are not known."""
    training = TrainingData.of(model.training_data).digests
    if not len(training) or images.digests is None:
        return None
    return count_trained_on(images.digests(tested), training)


def _sample(evaluator: Evaluator, images: LabelledImages | None) -> tuple[Tensor, Tensor] | None:
    """Return logits and target of validation images, on the CPU; None without any."""
    batches = [] if images is None else list(evaluator.answers(images, SAMPLE))
    if not batches:
        return None
    return torch.cat([batch.logits for batch in batches]).cpu(), torch.cat([batch.target for batch in batches]).cpu()


def _top1(logits: Tensor, target: Tensor) -> float:
    return float((target_rank(logits, target) == 0).double().mean())


def possible_sentence(classes: ClassList, evaluation: Evaluation) -> str:
    """Return which classes are possible, and how many images were left out."""
    out = evaluation.outside.impossible
    left = (
        f" {out:,} {'image of another class is' if out == 1 else 'images of other classes are'} left out."
        if out
        else ""
    )
    return classes.sentence + left


def best_temperature(logits: Tensor, target: Tensor) -> TemperatureScaler | None:
    """Return the temperature that logits ask for; None where there is no best one."""
    usable = logits.isfinite().all(1)
    if not usable.any():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a temperature at its bound, which is not used
        scaler = TemperatureScaler().to(logits.device).fit(logits[usable], target[usable])
    low, high = BOUNDS
    return scaler if 1.001 * low < float(scaler.temperature) < 0.999 * high else None


def _fitted_sets(validation: tuple[Tensor, Tensor] | None, model: TrainedModel) -> PredictionSets | None:
    """Return the sets of the model, or such as validation images ask for; None without such images."""
    kept = model.fits.sets
    if kept is not None and kept.options.by != "group":
        return kept
    if validation is None or len(validation[0]) < _LEAST or are_probabilities(validation[0]):
        return None
    return PredictionSets().fit(*validation)


def set_meters(sets: PredictionSets | None) -> list[SetMeter]:
    """Return what measures sets at each promise that their images allow."""
    if sets is None:
        return []
    return [SetMeter(sets.at(promise)) for promise in _PROMISES if fewest_images(promise) <= sets.images]


def _accuracy(evaluator: Evaluator, images: LabelledImages | None) -> float | None:
    if images is None:
        return None
    return float((evaluator.evaluate(images, 1, at_most=SAMPLE).rank == 0).double().mean())


def given_levels(given: Any, names: list[str]) -> dict[str, Hierarchy]:
    """Return the groups of classes that the caller gave, by the name of their level."""
    if given is None:
        return {}
    if isinstance(given, str | Path):
        return dict(read_levels(given, names))
    is_one = isinstance(given, Mapping) and all(isinstance(group, str | int) for group in given.values())
    levels = given if isinstance(given, Mapping) and not is_one else {"group": given}
    return {str(level): Hierarchy.of(groups, names) for level, groups in levels.items()}


def _levels_of_data(levels: Mapping[str, Hierarchy], match: ClassMatch) -> dict[str, Hierarchy]:
    """Return the levels with their classes in the order of the model; none where the data lacks some of its classes."""
    if match.is_identity:
        return dict(levels)
    if len(match.indices) < match.num_classes:
        return {}
    order = [match.indices.index(label) for label in range(match.num_classes)]
    return {
        level: Hierarchy(tuple(groups.groups[of_data] for of_data in order), groups.coarse_names)
        for level, groups in levels.items()
    }
