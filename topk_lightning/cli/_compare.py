"""``topk-lightning compare``: whether a second model is better than a first one on the same images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import rich

from topk_lightning._files import write_file
from topk_lightning.cli._parser import OptionParser
from topk_lightning.cli._runs import check_writable
from topk_lightning.cli._scores import add_scores_options, scores_of

__all__ = ["main"]

#: Classes that are printed, the clearest differences first; the JSON file has all.
_LISTED = 5


def main(words: Sequence[str]) -> None:
    """Compare by the words of the command line."""
    options = _parser().parse_args(list(words[1:]))
    if options.out is not None:
        check_writable(Path(options.out))
    # Only now: --help and mistakes need no torch.
    from topk_lightning.cli._quiet import quiet_lightning
    from topk_lightning.decisions import compare_scores

    with quiet_lightning():
        first, second = scores_of(options.first, options), scores_of(options.second, options)
    k = [options.k] if isinstance(options.k, int) else options.k
    comparison = compare_scores(first, second, k, level=options.level, margin=options.margin)
    console = rich.get_console()
    console.print(
        f"{comparison.images:,} images; A is {options.first}, B is {options.second}.",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
    for k, of_k in comparison.by_k.items():
        console.print(f"top-{k}: {of_k}", soft_wrap=True, highlight=False, markup=False)
    for name, errors in (("calibration error", comparison.calibration),):
        if errors is not None:
            console.print(f"{name}: {errors[0]:.3f} and {errors[1]:.3f}", highlight=False)
    for of_class in comparison.classes[:_LISTED]:
        if of_class.adjusted_p <= 1 - options.level:
            said = f"{comparison.class_names[of_class.index]}: {of_class.comparison.difference:+.3f} of its {of_class.comparison.images} images, p {of_class.adjusted_p:.3f} (corrected)"
            console.print(said, soft_wrap=True, highlight=False, markup=False)
    if options.out is not None:
        text = json.dumps(comparison.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        write_file(options.out, text.encode(errors="backslashreplace"))
        console.print(f"comparison: {options.out}", soft_wrap=True, highlight=False, markup=False)


def _parser() -> OptionParser:
    parser = OptionParser(
        "compare", "Say whether a second model is better than a first one on the same images, at each k and by class."
    )
    parser.add_argument("first", type=str, help="a file of scores (.npz, .npy, .parquet, .csv), or a checkpoint or run")
    parser.add_argument("second", type=str, help="the same of the other model")
    parser.add_argument("--k", type=int | list[int] | None, default=None, help="such as 3 or [1,5] (default: 1 and 5)")
    parser.add_argument("--level", type=float, default=0.95, help="probability of the intervals")
    parser.add_argument(
        "--margin", type=float | None, default=None, help="difference up to which both are equally good"
    )
    parser.add_argument("--data", type=str | None, default=None, help="as for report, where a checkpoint is given")
    parser.add_argument("--out", type=str | None, default=None, help="a .json file to write it all to")
    add_scores_options(parser)
    return parser
