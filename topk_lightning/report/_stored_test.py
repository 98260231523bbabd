"""Run a test on stored scores: no network and no images, the same numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_k
from topk_lightning.decisions import PredictionSets
from topk_lightning.metrics import CalibrationError, ClassReport
from topk_lightning.networks.outputs import are_probabilities
from topk_lightning.prediction import Fitted
from topk_lightning.report._decisions import DecisionMeters
from topk_lightning.report._evaluation import Answers, Outside, evaluate
from topk_lightning.report._labelled_images import LabelledImages
from topk_lightning.report._provenance import facts_of_the_run, stopwatch
from topk_lightning.report._results import Results
from topk_lightning.report._run_test import SAMPLE, Scaled, best_temperature, given_levels, set_meters
from topk_lightning.report._splits import DataSplits
from topk_lightning.scores import Scores

__all__ = ["run_stored_test"]

_UNKNOWN = (
    "These are stored scores. Without the images and the training they do not tell whether test images stand in other "
    "splits, were trained on or could not be read, nor how the accuracy on training images compares."
)


def run_stored_test(
    scores: Scores,
    validation: Scores | None,
    *,
    hierarchy: Any,
    k: int | None,
    epochs: tuple[str, Sequence[Mapping[str, Any]]],
    facts: Mapping[str, str],
    hard_images: int,
    possible: str = "",
) -> Results:
    """Return what the test came to, as :func:`run_test` does.

    Args:
        scores: of the test images.
        validation: of validation images, for the temperature; None: there are none.
        hierarchy: groups of classes, as for :func:`topk_lightning.write_report`.
        k: the k that "among the first k" means.
        epochs: where the epoch table comes from, and the table.
        facts: further lines for the last section.
        hard_images: how many to name of each kind.
        possible: which classes are possible, in a sentence; "": all.
    """
    seconds = stopwatch()
    _check_plain(scores, "scores")
    num_classes = scores.num_classes
    fitting = [number for number in (1, 3, 5) if number <= num_classes]
    k = max(fitting) if k is None else check_k(k, num_classes)
    report = ClassReport(num_classes, tuple(sorted({*fitting, k})), scores.names)
    calibration, scaled = CalibrationError(), CalibrationError()
    scaler = None
    if validation is not None:
        _check_plain(validation, "validation")
        if (validation.num_classes, validation.class_names) != (num_classes, scores.class_names):
            raise InvalidValueError(must("validation", "have the classes of the scores", "other classes"))
        scaler = best_temperature(*_sample(validation))
    outside = Outside(are_probabilities=scores.kind == "logits")
    levels = given_levels(hierarchy, scores.names)
    sample = None if validation is None else _sample(validation)
    decisions = DecisionMeters(sample, Fitted(), levels, list(scores.names))
    meters = set_meters(PredictionSets().fit(*sample)) if sample is not None and len(sample[1]) >= 9 else []
    metrics: list[Any] = [report, calibration, *([] if scaler is None else [Scaled(scaled, scaler)])]
    metrics += [*meters, decisions]
    evaluation: Any = evaluate(_answers(scores, outside), k, outside, *metrics)
    return Results(
        data=DataSplits(_images(scores), repr(scores)),
        class_names=scores.names,
        k=k,
        report=report,
        evaluation=evaluation,
        calibration=calibration.curve(),
        scaled=None if scaler is None else scaled.curve(),
        temperature=None if scaler is None else (float(scaler.temperature), *scaler.confidence_interval()),
        train_accuracy=None,
        val_accuracy=None,
        levels=levels,
        epochs=epochs,
        facts=[("Scores", repr(scores)), *facts.items(), *facts_of_the_run(torch.device("cpu"), seconds())],
        hard_images=hard_images,
        decided=decisions.decided(),
        sets=[meter.outcome() for meter in meters],
        possible=possible,
        unknown=_UNKNOWN,
    )


def _check_plain(scores: Scores, name: str) -> None:
    """Raise for what a report has no place for."""
    scores.check_whole("a report")
    scores.labels("a report")
    if scores.sample_weight is not None:
        remedy = "topk-lightning test weighs them."
        raise InvalidValueError(must(name, "count all images alike for a report", "weights of samples", remedy))


def _answers(scores: Scores, outside: Outside) -> Iterator[Answers]:
    labels = scores.labels()
    for block in scores.blocks():
        outside.are_probabilities &= are_probabilities(block.values)
        rows = torch.arange(block.start, block.start + len(block))
        yield Answers(block.logits, labels[rows], rows, block.values)


def _sample(scores: Scores) -> tuple[Tensor, Tensor]:
    """Return logits and target of at most 1,000 images at even distances, the same that a run on images takes."""
    count = len(scores)
    rows = torch.arange(count) if count <= SAMPLE else torch.arange(SAMPLE) * count // SAMPLE
    some = Scores(scores.values[rows], scores.labels()[rows], kind=scores.kind)
    return torch.cat([block.logits for block in some.blocks()]), some.labels()


def _images(scores: Scores) -> LabelledImages:
    """Return images of which the names alone are known."""
    ids, count = scores.ids, len(scores)

    def name(index: int) -> str:
        return f"image {index + 1} of {count}" if ids is None else ids[index]

    return LabelledImages(range(count), name, lambda index: None, {})
