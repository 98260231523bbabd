"""Which scores a command reads: those of a file, or what a checkpoint says of the images of its training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from topk_lightning._checks import must
from topk_lightning.cli._errors import UsageError
from topk_lightning.cli._runs import checkpoint_of

if TYPE_CHECKING:
    from topk_lightning.cli._parser import OptionParser
    from topk_lightning.scores import Scores

__all__ = ["NO_FILE", "NO_IMAGES", "add_scores_options", "check_used", "is_scores", "scores_of", "stored_scores"]

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
    checkpoint = checkpoint_of(path)
    from topk_lightning.cli._trained_data import trained_data
    from topk_lightning.prediction import TrainedModel
    from topk_lightning.report import score_images

    model = TrainedModel.load(checkpoint, options.network, trust=options.trust)
    return score_images(model, trained_data(options.data, model))
