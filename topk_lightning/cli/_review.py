"""``topk-lightning review``: which pictures a person must see, fitted on validation images or their scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rich

from topk_lightning._checks import must
from topk_lightning._checks.options import check_integer
from topk_lightning.cli._errors import UsageError, check_all_read, usage
from topk_lightning.cli._out import check_out, print_line, write_json
from topk_lightning.cli._parser import OptionParser
from topk_lightning.cli._possible import add_classes_option, possible_classes, possible_scores
from topk_lightning.cli._runs import checkpoint_of
from topk_lightning.cli._scores import add_validation_options, check_validation, validation_and_test

__all__ = ["main"]

_COSTS = ("wrong", "person", "name")


def main(words: Sequence[str]) -> None:
    """Fit the plan that the words ask for, say what it promises, and what it comes to on the test."""
    options = _parser().parse_args(list(words[1:]))
    if options.k is not None:
        with usage():
            check_integer("--k", options.k)
    costs = _costs(options.costs)
    check_validation(options, keeps=True)
    check_out(options.out)
    # Only now: --help and mistakes need no torch.
    from topk_lightning.cli._review_lines import plan_lines, sure_lines
    from topk_lightning.decisions import review_plan, roll_up

    validation, test, model, data = validation_and_test(options)
    read = validation, test
    classes = possible_classes(options, validation.names)
    validation = possible_scores(classes, validation, "validation ")
    test = possible_scores(classes, test, "test ")
    with usage():
        plan = review_plan(
            validation,
            target_error=options.target_error,
            among=options.among,
            confidence=options.confidence,
            k=options.k,
            costs=costs,
        )
    lines, content = plan_lines(plan, validation, test)
    fits: dict[str, Any] = {"plan": plan}
    hierarchy = options.hierarchy or _groups_of(data)
    if hierarchy:
        sure = roll_up(
            validation, hierarchy=hierarchy, target_error=options.target_error, confidence=options.confidence
        )
        said, content["roll_up"] = sure_lines(sure, validation, test)
        lines, fits["sure"] = lines + said, sure
    for line in lines:
        # As it is: a class may be called what rich takes for a colour.
        rich.get_console().print(line, highlight=False, markup=False, soft_wrap=isinstance(line, str))
    if options.out is not None:
        write_json(options.out, content, "review plan")
    if model is not None:
        from topk_lightning.prediction import save_fitted

        checkpoint = checkpoint_of(options.source)
        save_fitted(checkpoint, classes=classes, **fits)
        more = f" --classes {options.classes}" if classes is not None else ""
        print_line(
            f"saved in {checkpoint}: topk-lightning predict {checkpoint} PICTURES{more} says the pile of each picture"
        )
    check_all_read(*read)


def _costs(given: str | None) -> dict[str, float] | None:
    """Return the costs of words such as wrong=10,person=1,name=0.1."""
    if given is None:
        return None
    costs: dict[str, float] = {}
    for part in given.split(","):
        name, _, number = part.partition("=")
        try:
            costs[name.strip()] = float(number)
        except ValueError:
            name = ""
        if name.strip() not in _COSTS:
            remedy = "Write such as wrong=10,person=1,name=0.1, in one unit of your own."
            raise UsageError(must("--costs", "say what wrong, person and name cost", repr(part), remedy))
    return costs


def _groups_of(data: Any) -> dict[str, dict[str, str]]:
    """Return the groups that a data module has, by the names of its levels, classes and groups."""
    names, groups = getattr(data, "coarse_names", {}), getattr(data, "fine_to_coarse", {})
    return {
        level: {name: names[level][group] for name, group in zip(data.class_names, of_class, strict=True)}
        for level, of_class in groups.items()
    }


def _parser() -> OptionParser:
    parser = OptionParser(
        "review",
        "Say which pictures a person must see, with a promise about the errors in the others that fresh images keep; "
        "of a checkpoint, keep the plan in it for predict and serve.",
    )
    parser.add_argument(
        "--target-error", type=float, default=0.05, help="share of errors that is promised (default: 0.05)"
    )
    parser.add_argument(
        "--among", choices=["all", "accepted"], default="all", help="of all pictures, or of those accepted"
    )
    parser.add_argument("--confidence", type=float, default=0.95, help="probability of the promise (default: 0.95)")
    parser.add_optional("--k", int, "names on a list (default: 5 at most)")
    parser.add_optional(
        "--costs",
        str,
        "what an error, a person and a name to read cost, such as wrong=10,person=1,name=0.1: the cheapest plan",
    )
    parser.add_optional("--hierarchy", str, "csv file or tree of folders: say the group when unsure")
    add_classes_option(parser)
    parser.add_optional("--out", str, "a .json file for the plan")
    add_validation_options(parser)
    return parser
