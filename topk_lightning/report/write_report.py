"""The report of a test: one HTML file that a person reads in a minute."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from topk_lightning._checks.class_names import check_class_names
from topk_lightning._checks.options import check_integer, check_k
from topk_lightning._checks.report import check_class_number, check_report_path, check_same_names
from topk_lightning._files import write_file
from topk_lightning.epoch_table import find_table, read_table
from topk_lightning.hierarchy import Hierarchy
from topk_lightning.metrics import CalibrationError, ClassReport
from topk_lightning.prediction import TrainedModel
from topk_lightning.report._page import render
from topk_lightning.report._provenance import facts_of_the_model, facts_of_the_run, stopwatch
from topk_lightning.report._results import Results
from topk_lightning.report._sections import sections_of
from topk_lightning.report._summary import summary
from topk_lightning.report.evaluation import evaluate, iterate_logits
from topk_lightning.report.labelled_images import LabelledImages
from topk_lightning.report.report_data import ReportData, read_data
from topk_lightning.temperature_scaler import BOUNDS, TemperatureScaler

__all__ = ["write_report"]

#: Images of training and of validation that are looked at: enough for an accuracy to two digits and for one temperature.
SAMPLE = 1000


def write_report(
    model: str | Path | nn.Module | TrainedModel,
    data: Any,
    out: str | Path = "report.html",
    *,
    k: int | None = None,
    network: nn.Module | None = None,
    class_names: Sequence[str] | Mapping[Any, Any] | None = None,
    preprocessing: Any = None,
    hierarchy: Any = None,
    epoch_table: str | Path | None = None,
    hard_images: int = 12,
    batch_size: int = 32,
    title: str | None = None,
    facts: Mapping[str, str] | None = None,
) -> Path:
    """Test a classifier and write what came out as one HTML file, which needs neither network nor further files.

    The page holds findings in plain sentences, the numbers with 95 % intervals, calibration, confusions, the hardest images
    with their k best classes, a table of all classes, the training curves, and how it all was made. Every test image
    is read once; some bytes an image are kept. Where the data has validation images, the temperature that calibrates
    the model is fitted on at most 1,000 of them, and where it has training images, the accuracy on at most 1,000 of
    these is set beside that of the test. Up to 20,000 images of all splits are compared to find (near-)duplicates.

    Args:
        model: path of a checkpoint that TopKClassifier saved, a TopKClassifier, or any nn.Module that returns logits (N, C).
        data: a data module, a DataLoader (read in the order of its data set, each image once), or a folder of test images
            with one folder a class; of a folder with train, val and test the last is the test.
        out: the .html file; its folder is made.
        k: the k that "among the first k" means; None: the largest that the classifier was measured by.
        network: the network of a checkpoint that cannot name it.
        class_names: a list, {index: name} or {name: index}; None: those of the model, else of the data.
        preprocessing: a Preprocessing or the dict of one; None: that of the model.
        hierarchy: groups of classes, as :meth:`Hierarchy.of` takes them, or {level: groups} from fine to coarse, a file as
            a Path; None: those of the data.
        epoch_table: file that TrainingTrace wrote; None: epochs.csv beside the checkpoint, else the table in it.
        hard_images: how many to show of each kind, at least 0.
        batch_size: images at a time, where the data does not say.
        title: the heading.
        facts: further lines for the last section, such as {"Seed": "0"}.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: a checkpoint, folder or epoch table that is not there.
        TypeError: data that no test images can be taken from.
        ValueError: an empty test set, another number or other names of classes than the model has, a checkpoint of
            something else, k > C, images that were prepared in another way than in training.

    Examples:
        >>> import tempfile
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> images, target = torch.eye(3).view(3, 3, 1, 1), torch.tensor([0, 1, 1])
        >>> test = DataLoader(TensorDataset(images, target))
        >>> path = write_report(nn.Flatten(), test, tempfile.mkdtemp() + "/report.html", class_names=["ant", "bee", "cat"])
        >>> "2 of 3 images" in path.read_text()
        True
    """
    path = check_report_path(out)
    check_integer("hard_images", hard_images, minimum=0)
    seconds = stopwatch()
    trained = TrainedModel.load(model, network, class_names=class_names, preprocessing=preprocessing)
    source = read_data(data, trained, batch_size)
    names = _names(trained, source, class_names is not None)
    measured = [number for number in {1, *(trained.k or (3, 5))} if number <= len(names)]
    k = max(measured) if k is None else check_k(k, len(names))
    ks = tuple(sorted({*measured, k}))

    report = ClassReport(len(names), ks, names)
    calibration, scaled = CalibrationError(), CalibrationError()
    metrics: list[Any] = [report, calibration]
    scaler = _temperature(trained, source.validation, len(names))
    if scaler is not None:
        metrics.append(_Scaled(scaled, scaler))
    device = trained.device
    for metric in (report, calibration, scaled):
        metric.to(device)
    evaluation = evaluate(trained, source.test.loader(), len(names), k, *metrics)
    run = facts_of_the_run(device, seconds())
    results = Results(
        model=trained,
        data=source,
        class_names=names,
        k=k,
        report=report.cpu(),
        evaluation=evaluation,
        calibration=calibration.cpu().curve(),
        scaled=None if scaler is None else scaled.cpu().curve(),
        temperature=None if scaler is None else (float(scaler.temperature), *scaler.confidence_interval()),
        train_accuracy=_accuracy(trained, source.training, len(names)),
        val_accuracy=_accuracy(trained, source.validation, len(names)),
        levels=_levels(hierarchy, names) or source.levels,
        epochs=_epochs(epoch_table, trained),
        facts=[*facts_of_the_model(trained), ("Data", source.description), *(facts or {}).items(), *run],
        hard_images=hard_images,
    )
    heading = title or f"{trained.kind} on {len(names):,} classes"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, render(heading, summary(results), sections_of(results)).encode())
    return path


class _Scaled:
    """Pass logits on, divided by a temperature."""

    def __init__(self, metric: CalibrationError, scaler: TemperatureScaler) -> None:
        self.metric, self.scaler = metric, scaler

    def update(self, logits: Tensor, target: Tensor) -> None:
        self.metric.update(self.scaler.to(logits.device)(logits), target)


def _names(model: TrainedModel, source: ReportData, given: bool) -> list[str]:
    own, found = model.class_names, source.class_names
    if own is None or given:  # names that are not the model's own are held against its outputs
        logits, _ = next(iterate_logits(model, source.test.loader(1), None))
        num_classes = logits.shape[-1]
    else:
        num_classes = len(own)
    if found is not None:
        check_class_number(len(found), num_classes)
    if own is None:
        return found or [f"class {index}" for index in range(num_classes)]
    check_class_names(own, num_classes)
    if found is not None and not given:
        check_same_names(own, found)
    return own


def _temperature(model: TrainedModel, images: LabelledImages | None, num_classes: int) -> TemperatureScaler | None:
    """Return the temperature that validation images ask for; None without such images, or if there is no best one."""
    if images is None:
        return None
    batches = list(zip(*iterate_logits(model, images.loader(SAMPLE), num_classes), strict=True))
    logits, target = (torch.cat(part) for part in batches)
    usable = logits.isfinite().all(1)
    if not usable.any():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a temperature at its bound, which is not used
        scaler = TemperatureScaler().to(logits.device).fit(logits[usable], target[usable])
    low, high = BOUNDS
    return scaler if 1.001 * low < float(scaler.temperature) < 0.999 * high else None


def _accuracy(model: TrainedModel, images: LabelledImages | None, num_classes: int) -> float | None:
    if images is None:
        return None
    return float((evaluate(model, images.loader(SAMPLE), num_classes, 1).rank == 0).double().mean())


def _levels(given: Any, names: list[str]) -> dict[str, Hierarchy]:
    if given is None:
        return {}
    levels = given if isinstance(given, Mapping) and not _is_one_level(given) else {"group": given}
    return {str(level): Hierarchy.of(groups, names) for level, groups in levels.items()}


def _is_one_level(given: Mapping[Any, Any]) -> bool:
    return all(isinstance(group, str | int) for group in given.values())


def _epochs(given: str | Path | None, model: TrainedModel) -> tuple[str, Sequence[Mapping[str, Any]]]:
    """Return where the epoch table comes from, and the table."""
    path = find_table(model.path) if given is None and model.path is not None else given
    return ("the checkpoint", model.epochs) if path is None else (str(path), read_table(path))
