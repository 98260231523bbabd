"""Options about what may be said: which classes are possible, and from which probability on a name is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from topk_lightning._checks import MissingFileError, must
from topk_lightning.cli._errors import UsageError
from topk_lightning.cli._out import print_line
from topk_lightning.cli._parser import OptionParser

if TYPE_CHECKING:
    from topk_lightning.decisions import ClassList
    from topk_lightning.scores import Scores

__all__ = ["add_classes_option", "add_sure_options", "check_sure", "possible_classes", "possible_scores"]


def add_classes_option(parser: OptionParser) -> None:
    """Add the file of the possible classes."""
    parser.add_optional(
        "--classes",
        str,
        "only these classes are possible: a line each, or class,weight for how often it occurs here",
        metavar="FILE",
    )


def add_sure_options(parser: OptionParser) -> None:
    """Add the level that one is sure of, and the groups that it needs."""
    parser.add_optional(
        "--hierarchy",
        str,
        "groups of classes for --sure and --coverage: a csv file class,group,larger group, or a tree of folders",
        metavar="FILE",
    )
    parser.add_optional(
        "--sure",
        str,
        'say the finest class or group with at least this probability, such as 0.9; "fit": that of review --hierarchy',
        metavar="P",
    )


def check_sure(options: Any) -> float | str | None:
    """Return the probability from which on a name is said; "fit": the one that was fitted."""
    if options.classes is not None:
        _check_file("--classes", options.classes)
    if options.hierarchy is not None:
        _check_file("--hierarchy", options.hierarchy)
    if options.sure is None:
        if options.hierarchy is not None and options.coverage is None:
            remedy = "Add --sure 0.9 to name a group where the class is unsure."
            raise UsageError(must("--hierarchy", "stand beside --sure or --coverage", "neither", remedy))
        return None
    for other in ("coverage", "k"):
        if getattr(options, other) is not None:
            wanted = "be left out with --sure, which says one name"
            raise UsageError(must(f"--{other}", wanted, getattr(options, other)))
    if options.sure == "fit":
        if options.hierarchy is not None:
            wanted = "be left out with --sure fit, whose groups are those of the fit"
            raise UsageError(must("--hierarchy", wanted, repr(options.hierarchy)))
        return "fit"
    try:
        probability = float(options.sure)
    except ValueError:
        probability = float("nan")
    if not 0 < probability < 1:
        remedy = f"Did you mean {probability / 100:g}?" if 1 < probability < 100 else ""
        raise UsageError(must("--sure", 'lie between 0 and 1, or be "fit"', repr(options.sure), remedy))
    if options.hierarchy is None:
        remedy = "Pass a csv file with a line class,group for each class."
        raise UsageError(must("--hierarchy", "be given with --sure", "none", remedy))
    return probability


def possible_classes(options: Any, class_names: Any) -> ClassList | None:
    """Return the classes that --classes names, and say so; None: all are possible."""
    if options.classes is None:
        return None
    from topk_lightning.decisions import ClassList

    possible = ClassList.of(options.classes, class_names)
    print_line(possible.sentence)
    return possible


def possible_scores(classes: ClassList | None, scores: Scores | None, what: str = "") -> Any:
    """Return the scores of the possible classes, and say how many images of others are left out."""
    if classes is None or scores is None:
        return scores
    kept = classes.scores(scores)
    if left_out := len(scores) - len(kept):
        print_line(f"{left_out:,} of {len(scores):,} {what}images are of other classes and are left out.")
    return kept


def _check_file(option: str, path: str) -> None:
    from pathlib import Path

    if not Path(path).exists():
        raise MissingFileError(must(option, "be an existing file", repr(path)))
