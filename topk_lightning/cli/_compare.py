"""``topk-lightning compare``: whether a second model is better than a first one on the same images."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from topk_lightning._checks import must
from topk_lightning.cli._errors import UsageError, check_all_read
from topk_lightning.cli._out import check_out, print_line, write_json
from topk_lightning.cli._parser import OptionParser
from topk_lightning.cli._scores import NO_FILE, NO_IMAGES, add_scores_options, check_used, is_scores, scores_of

if TYPE_CHECKING:
    from topk_lightning.decisions import ScoresComparison
    from topk_lightning.scores import Scores

__all__ = ["main"]

#: Classes that are printed, the clearest differences first; the page and its JSON file have all.
_LISTED = 5


def main(words: Sequence[str]) -> None:
    """Compare by the words of the command line."""
    options = _parser().parse_args(list(words[1:]))
    first, second = _sides(options)
    check_out(options.out, (".html", ".htm", ".json"))
    _check_used(options, first + second)
    # Only now: --help and mistakes need no torch.
    from topk_lightning.cli._quiet import quiet_lightning

    k = [options.k] if isinstance(options.k, int) else options.k
    with quiet_lightning():
        sides = [[scores_of(path, options) for path in side] for side in (first, second)]
    given: dict[str, Any] = {"k": k, "level": options.level, "margin": options.margin, "coverage": options.coverage}
    _compare(options, words, (first, second), sides, given)
    check_all_read(*sides[0], *sides[1])


def _compare(
    options: Any,
    words: Sequence[str],
    paths: tuple[Sequence[str], Sequence[str]],
    sides: Sequence[Sequence[Scores]],
    given: Mapping[str, Any],
) -> None:
    """Say and write which side is better."""
    from topk_lightning.decisions import compare_scores, compare_seeds

    first, second = paths
    names = _names(first, second)
    if options.out is not None and not options.out.lower().endswith(".json"):
        from topk_lightning.report import write_comparison

        more: dict[str, Any] = {"names": names, "images": _images(options, first[0]), "title": options.title}
        more["facts"] = {
            "Compared": f"{', '.join(first)} and {', '.join(second)}",
            "Command": shlex.join(["topk-lightning", *words]),
        }
        out = write_comparison(sides[0], sides[1], options.out, **given, **more)
        content = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
        print_line(f"{content['sentence']} {content['verdict'].capitalize()}.")
        print_line(f"comparison: {out}, and {out.with_suffix('.json').name} beside it")
        return
    if len(first) > 1:
        seeds = compare_seeds(sides[0], sides[1], **given)
        content, pairs = {"pairs": [pair.to_dict() for pair in seeds.pairs], "seeds": seeds.to_dict()}, seeds.pairs
        print_line(f"{pairs[0].images:,} images; A is {', '.join(first)}, B is {', '.join(second)}.")
        for number, of_k in seeds.by_k.items():
            print_line(f"top-{number}: {of_k}")
    else:
        pairs = [compare_scores(sides[0][0], sides[1][0], **given)]
        content = {"pairs": [pairs[0].to_dict()], "seeds": None}
        print_line(f"{pairs[0].images:,} images; A is {first[0]}, B is {second[0]}.")
        _say_pair(pairs[0], options.level)
    if options.out is not None:
        write_json(options.out, {"schema_version": 1, **content}, "comparison")


def _say_pair(compared: ScoresComparison, level: float) -> None:
    for number, of_k in compared.by_k.items():
        print_line(f"top-{number}: {of_k}")
    if compared.calibration is not None and compared.sizes is not None:
        first, second = (curve.error for curve in compared.calibration)
        print_line(f"calibration error: {first:.3f} and {second:.3f}")
        sizes, bounds = compared.sizes.mean, (compared.sizes.low, compared.sizes.high)
        print_line(
            f"names to show for {100 * compared.sizes.promise:g} %: {sizes[0]:.1f} and {sizes[1]:.1f} on average, difference "
            f"{compared.sizes.difference:+.1f} ({bounds[0]:+.1f} to {bounds[1]:+.1f})"
        )
    for of_class in compared.classes[:_LISTED]:
        one_class = of_class.comparison
        if of_class.adjusted_p <= 1 - level:
            print_line(
                f"{compared.class_names[of_class.index]}: {one_class.difference:+.3f} of its {one_class.images} images, "
                f"p {of_class.adjusted_p:.3f} (corrected)"
            )


def _sides(options: Any) -> tuple[list[str], list[str]]:
    """Return the paths of both sides: two words, or as many on each side of --against."""
    words, against = list(options.models), list(options.against)
    if not against and len(words) == 2:
        return words[:1], words[1:]
    if against and len(words) == len(against):
        return words, against
    wanted = "be two models, or as many on each side of --against"
    raise UsageError(must("the models", wanted, f"{len(words)} and {len(against)}" if against else len(words)))


def _check_used(options: Any, paths: Sequence[str]) -> None:
    """Raise for an option that nothing would use."""
    if all(map(is_scores, paths)):
        check_used(options, {"data": None, "network": None, "trust": []}, NO_IMAGES)
    elif not any(map(is_scores, paths)):
        check_used(options, dict.fromkeys(("kind", "target", "class_names")), NO_FILE)
    has_page = options.out is not None and not options.out.lower().endswith(".json")
    for name in ("images", "title"):
        if getattr(options, name) is not None and not has_page:
            raise UsageError(
                must(
                    f"--{name}",
                    "be left out without a page",
                    repr(getattr(options, name)),
                    "Did you mean --out comparison.html?",
                )
            )


def _images(options: Any, path: str) -> Any:
    """Return where pictures come from: the folder that is said, or the test images of a checkpoint."""
    if options.images is not None or is_scores(path):
        return options.images
    from topk_lightning.cli._runs import checkpoint_of
    from topk_lightning.cli._trained_data import trained_data
    from topk_lightning.prediction import TrainedModel
    from topk_lightning.report import pictures_by_name

    model = TrainedModel.load(checkpoint_of(path), options.network, trust=options.trust)
    return pictures_by_name(model, trained_data(options.data, model))


def _names(first: Sequence[str], second: Sequence[str]) -> tuple[str, str]:
    """Return what both sides are called: what the names of their files or runs begin with, or A and B."""
    names = _common_start(first), _common_start(second)
    return names if all(names) and names[0] != names[1] else ("A", "B")


def _common_start(paths: Sequence[str]) -> str:
    stems = [Path(path).stem if Path(path).is_file() else Path(path).resolve().name for path in paths]
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*stems, strict=False))
    return "".join(letters[0] for letters in same).rstrip("-_. ")


def _parser() -> OptionParser:
    parser = OptionParser(
        "compare", "Say whether a second model is better than a first one on the same images, at each k and by class."
    )
    parser.add_argument(
        "models",
        type=str,
        nargs="+",
        help="the first and the second: files of scores (.npz, .npy, .parquet, .csv), checkpoints or runs",
    )
    parser.add_argument(
        "--against",
        type=str,
        nargs="+",
        default=[],
        help="networks of several seeds: those of the first way stand before it, those of the second after it",
    )
    parser.add_optional("--k", int | list[int], "such as 3 or [1,5] (default: 1 and 5)")
    parser.add_argument("--level", type=float, default=0.95, help="probability of the intervals")
    parser.add_optional("--margin", float, "difference up to which both are equally good")
    parser.add_argument(
        "--coverage", type=float, default=0.9, help="promise of the prediction sets whose sizes are told"
    )
    parser.add_optional("--data", str, "as for report, where a checkpoint is given")
    parser.add_optional("--out", str, "a page (.html, with a .json beside it) or .json alone")
    parser.add_optional("--images", str, "folder in which the ids of the scores are files")
    parser.add_optional("--title", str, "heading of the page")
    add_scores_options(parser)
    parser.add_network_options()
    return parser
