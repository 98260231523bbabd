"""Which scores a command reads: those of files, or what a checkpoint says of the images of its training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.places import check_file_place
from topk_lightning.cli._errors import UsageError, check_given_files
from topk_lightning.cli._runs import checkpoint_of

if TYPE_CHECKING:
    from topk_lightning.cli._parser import OptionParser
    from topk_lightning.scores import Scores

__all__ = [
    "NO_FILE",
    "NO_IMAGES",
    "add_scores_options",
    "add_validation_options",
    "check_used",
    "check_validation",
    "is_scores",
    "scores_of",
    "stored_scores",
    "validation_and_test",
]

_SUFFIXES = (".npz", ".npy", ".parquet", ".csv")

#: Why an option is left out.
NO_IMAGES = "for a file of scores, which needs no network and no images"
NO_FILE = "for a checkpoint, whose data says it"


def is_scores(path: str) -> bool:
    """Return whether a path is a file of scores by its ending, and no checkpoint."""
    return Path(path).suffix.lower() in _SUFFIXES and not Path(path).is_dir()


def add_scores_options(parser: OptionParser) -> None:
    """Add what a file of scores may leave unsaid."""
    parser.add_optional("--kind", str, "logits or probabilities, for a file of values alone (.npy)")
    parser.add_optional("--target", str, "file of the right classes (.npy, .txt, .json, .csv)")
    parser.add_optional("--class-names", str, "file of the class names (.txt, .json)")


def add_validation_options(parser: OptionParser) -> None:
    """Add where the validation images that something is fitted on come from, and the test images that measure it."""
    parser.add_argument("source", type=str, help="scores of validation images (.npz, .npy, …), or a checkpoint or run")
    parser.add_optional("--test", str, "scores of test images, beside those of a validation")
    parser.add_optional("--test-target", str, "as --target, of --test")
    parser.add_optional("--data", str, "of a checkpoint, as for report (default: that of its training)")
    parser.add_optional("--batch-size", int, "images at a time (default: 32)")
    add_scores_options(parser)
    parser.add_network_options()


def check_used(options: Any, defaults: Mapping[str, Any], why: str) -> None:
    """Raise for an option that nothing would use.

    Args:
        options: of the command line.
        defaults: of the options that are not used, by their names; lists count as not given where they are empty.
        why: when they must be left out.
    """
    for name, default in defaults.items():
        given = getattr(options, name)
        if given != default and given != []:
            raise UsageError(must(f"--{name.replace('_', '-')}", f"be left out {why}", repr(given)))


def check_validation(options: Any, *, keeps: bool = False) -> None:
    """Raise for a file that is not there and for an option that nothing would use, before anything large is imported.

    Args:
        options: of the command line.
        keeps: whether what is fitted is put into the checkpoint, which must then be one that can be written.
    """
    if is_scores(options.source):
        check_given_files("scores", [path for path in (options.source, options.test) if path is not None])
        check_used(options, {"data": None, "batch_size": None, "network": None, "trust": []}, NO_IMAGES)
        if options.test is None:
            check_used(options, {"test_target": None}, "without --test")
    else:
        checkpoint = checkpoint_of(options.source)
        if keeps and not Path(checkpoint).is_dir():
            check_file_place("checkpoint", checkpoint)
        check_used(options, dict.fromkeys(("test", "test_target", "kind", "target", "class_names")), NO_FILE)


def validation_and_test(options: Any) -> tuple[Scores, Scores | None, Any, Any]:
    """Return the scores of the validation, of the test where there are any, and a checkpoint's model and data."""
    if is_scores(options.source):
        validation = stored_scores(options.source, options)
        if options.test is None:
            return validation, None, None, None
        test = stored_scores(options.test, options, target=options.test_target)
        names = (validation.class_names, test.class_names)
        if test.num_classes != validation.num_classes or (None not in names and names[0] != names[1]):
            raise InvalidValueError(must("--test", "have the classes of the validation, in their order", "others"))
        return validation, test, None, None
    from topk_lightning.cli._quiet import quiet_lightning
    from topk_lightning.report import score_images

    with quiet_lightning(), rich.get_console().status("Looking at the images …"):
        model, data = _model_and_data(options.source, options)
        size = options.batch_size or 32
        validation, test = (score_images(model, data, split, batch_size=size) for split in ("val", "test"))
    return validation, test, model, data


def stored_scores(path: str, options: Any, **given: str | None) -> Scores:
    """Return the scores of a file, read as the options say or as given; a bar shows how far they are read."""
    from topk_lightning.cli._progress import LookBar, shows_progress
    from topk_lightning.scores import read_scores

    said: dict[str, Any] = {"kind": options.kind, "target": options.target, "class_names": options.class_names}
    scores = read_scores(path, **(said | given))
    if shows_progress():
        scores.progress = LookBar("Reading the scores")
    return scores


def scores_of(path: str, options: Any) -> Scores:
    """Return the scores of a file, or of the test images of a checkpoint."""
    if is_scores(path):
        return stored_scores(path, options)
    from topk_lightning.report import score_images

    return score_images(*_model_and_data(path, options))


def _model_and_data(path: str, options: Any) -> tuple[Any, Any]:
    from topk_lightning.cli._trained_data import trained_data
    from topk_lightning.prediction import TrainedModel

    model = TrainedModel.load(checkpoint_of(path), options.network, trust=options.trust)
    return model, trained_data(options.data, model)
