"""The report of a test: one HTML file that a person reads in a minute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_choice, check_integer
from topk_lightning._checks.places import check_file_place
from topk_lightning.decisions import ClassList
from topk_lightning.epoch_table import find_table, read_table
from topk_lightning.prediction import TrainedModel
from topk_lightning.report._data_splits import read_splits
from topk_lightning.report._files import suspects_path, write_files
from topk_lightning.report._report_path import check_report_path
from topk_lightning.report._run_test import Labels, run_test
from topk_lightning.report._stored_test import run_stored_test
from topk_lightning.scores import Scores

__all__ = ["write_report"]


def write_report(
    model: str | Path | nn.Module | TrainedModel | Scores,
    data: Any = None,
    out: str | Path = "report.html",
    *,
    k: int | None = None,
    network: nn.Module | str | None = None,
    class_names: Sequence[str] | Mapping[Any, Any] | None = None,
    preprocessing: Any = None,
    logit_adjustment: float = 0.0,
    hierarchy: Any = None,
    epoch_table: str | Path | None = None,
    hard_images: int = 12,
    batch_size: int = 32,
    title: str | None = None,
    facts: Mapping[str, str] | None = None,
    on_bad_image: str = "skip",
    trust: Iterable[str] = (),
    validation: Scores | None = None,
    classes: Any = None,
    spreadsheet_safe: bool = False,
) -> Path:
    """Test a classifier and write what came out as one HTML file, which needs neither network nor further files.

    Beside report.html stand report.json, with everything that the page says, and classes.csv, the table of all classes.

    The page holds findings in plain sentences, the numbers with 95 % intervals, calibration, confusions, the hardest images
    with their k best classes, a table of all classes, the training curves, and how it all was made. Every test image
    is read once; some bytes an image are kept. Where the data has validation images, the temperature that calibrates
    the model is fitted on at most 1,000 of them, and where it has training images, the accuracy on at most 1,000 of
    these is set beside that of the test. Up to 20,000 images of all splits are compared to find (near-)duplicates.

    Args:
        model: path of a checkpoint that TopKClassifier saved, a TopKClassifier, or any nn.Module that returns logits (N, C);
            or :class:`topk_lightning.Scores`, of any framework: then there is no data, and what needs pictures says so.
        data: a data module, a DataLoader (read in the order of its data set, each image once), a folder of test images
            with one folder a class, a csv table, or a stream (a loader of a data set without a length, read as it comes, of
            which no pictures are shown); with train, val and test the last is the test. A target is a class index,
            or the accepted labels of an image as 0 and 1 (C,), of which any is right. Classes are recognised by name where
            the data names them.
        out: the .html file; its folder is made.
        k: the k that "among the first k" means; None: the largest that the classifier was measured by.
        network: the network of a checkpoint that cannot name it, or "package.module:function" that returns it.
        class_names: a list, {index: name} or {name: index}; None: those of the model, else of the data.
        preprocessing: a Preprocessing or the dict of one; None: that of the model.
        logit_adjustment: strength of the adjustment for classes of unequal frequency, 1 for scores as if all were equally
            frequent: for a model that plain cross entropy has trained on a data module, whose counts its checkpoint keeps.
        hierarchy: groups of classes, as :meth:`Hierarchy.of` takes them, or {level: groups} from fine to coarse; a csv file or a
            tree of folders of any depth, as :func:`topk_lightning.hierarchy.read_levels` takes them; None: those of the data.
        epoch_table: file that TrainingTrace wrote; None: epochs.csv beside the checkpoint, else the table in it.
        hard_images: how many to show of each kind, at least 0.
        batch_size: images at a time, where the data does not say.
        title: the heading.
        facts: further lines for the last section, such as {"Seed": "0"}.
        on_bad_image: "skip": leave images out that cannot be read, and name them; or "raise".
        trust: packages of others that a checkpoint may name; importing them runs their code.
        validation: beside scores, those of validation images, which temperature, sets and review plan are fitted on.
        classes: the classes that are possible, as :meth:`topk_lightning.decisions.ClassList.of` takes them, before everything
            else: the report speaks of them alone, and images of others are left out. None: all.
        spreadsheet_safe: put an apostrophe before a text in classes.csv and suspects.csv that a spreadsheet would take for a
            formula; such a name is not read back as it was.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: a checkpoint, folder or epoch table that is not there.
        TypeError: data that no test images can be taken from.
        OSError: a place that cannot be written to, before anything is tested.
        ValueError: an empty test set, a class that the model does not have, a checkpoint of something else, k > C, images
            that were prepared in another way than in training.

    Examples:
        >>> import tempfile, torch
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> images, target = torch.eye(3).view(3, 3, 1, 1), torch.tensor([0, 1, 1])
        >>> test = DataLoader(TensorDataset(images, target))
        >>> path = write_report(
        ...     nn.Flatten(), test, tempfile.mkdtemp() + "/report.html", class_names=["ant", "bee", "cat"]
        ... )
        >>> "2 of 3 images" in path.read_text()
        True
    """
    path = _writable(out)
    check_integer("hard_images", hard_images, minimum=0)
    check_choice("on_bad_image", on_bad_image, ("skip", "raise"))
    if isinstance(model, Scores):
        others = {"data": data, "network": network, "class_names": class_names, "preprocessing": preprocessing}
        others["logit_adjustment"] = logit_adjustment or None
        _check_left_out(others, "stored scores")
        possible = ""
        if classes is not None:
            allowed = ClassList.of(classes, model.names)
            kept = allowed.scores(model)
            possible = f"{allowed.sentence} {len(model) - len(kept):,} images of other classes are left out."
            model, validation = kept, None if validation is None else allowed.scores(validation)
        results = run_stored_test(
            model,
            validation,
            hierarchy=hierarchy,
            k=k,
            epochs=("", []) if epoch_table is None else (str(epoch_table), read_table(epoch_table)),
            facts=facts or {},
            hard_images=hard_images,
            possible=possible,
        )
        write_files(
            results,
            title or f"Stored scores of {len(results.class_names):,} classes",
            path,
            spreadsheet_safe=spreadsheet_safe,
        )
        return path
    _check_left_out({"validation": validation}, "a test on images, whose data has its own")
    trained = TrainedModel.load(
        model,
        network,
        class_names=class_names,
        preprocessing=preprocessing,
        logit_adjustment=logit_adjustment,
        trust=trust,
    )
    trained = trained if classes is None else trained.only(classes)
    splits = read_splits(data, trained, batch_size=batch_size, skip_unreadable=on_bad_image == "skip")
    results = run_test(
        trained,
        splits,
        labels=Labels(hierarchy, names_given=class_names is not None),
        k=k,
        epochs=_epochs(epoch_table, trained),
        facts=facts or {},
        hard_images=hard_images,
    )
    heading = title or f"{trained.kind} on {len(results.class_names):,} classes"
    write_files(results, heading, path, spreadsheet_safe=spreadsheet_safe)
    return path


def _check_left_out(given: Mapping[str, Any], why: str) -> None:
    for name, value in given.items():
        if value is not None:
            raise InvalidValueError(must(name, f"be left out for {why}", type(value).__name__))


def _writable(out: str | Path) -> Path:
    """Return the path of an .html file in a folder, which is made, that can be written to."""
    path = check_report_path(out)
    check_file_place("out", path, [suspects_path(path).name])
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _epochs(given: str | Path | None, model: TrainedModel) -> tuple[str, Sequence[Mapping[str, Any]]]:
    """Return where the epoch table comes from, and the table."""
    path = find_table(model.path) if given is None and model.path is not None else given
    return ("the checkpoint", model.epochs) if path is None else (str(path), read_table(path))
