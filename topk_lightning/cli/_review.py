"""``topk-lightning review``: which pictures a person must see, fitted on validation images or their scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich
from rich.table import Table

from topk_lightning._checks import InvalidValueError, MissingFileError, must
from topk_lightning._checks.options import check_integer
from topk_lightning.cli._errors import UsageError, usage
from topk_lightning.cli._parser import OptionParser
from topk_lightning.cli._runs import check_writable, checkpoint_of
from topk_lightning.cli._scores import add_scores_options, is_scores, stored_scores

if TYPE_CHECKING:
    from topk_lightning.scores import Scores

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Fit the plan that the words ask for, say what it promises, and what it comes to on the test."""
    options = _parser().parse_args(list(words[1:]))
    if options.k is not None:
        with usage():
            check_integer("--k", options.k)
    if options.out is not None:
        check_writable(Path(options.out))
    for path in (options.source, options.test):
        if path is not None and not Path(path).exists():
            raise MissingFileError(must("the scores", "be an existing file or checkpoint", repr(path)))
    # Only now: --help and mistakes need no torch.
    from topk_lightning.decisions import ClassList, review_plan, roll_up

    validation, test = _scores(options)
    if options.classes is not None:
        allowed = ClassList.of(options.classes, validation.names)
        _print(allowed.sentence)
        validation = allowed.scores(validation)
        test = None if test is None else allowed.scores(test)
    with usage():
        plan = review_plan(
            validation,
            target_error=options.target_error,
            among=options.among,
            confidence=options.confidence,
            k=options.k,
        )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("images of", "accepted", "wrong", "on a list", "missing", "for a person"):
        table.add_column(heading, justify="right")
    outcomes = {"validation": plan.outcome(validation)} | ({} if test is None else {"test": plan.outcome(test)})
    for name, outcome in outcomes.items():
        counts = (outcome.accepted, outcome.wrong, outcome.listed, outcome.missed, outcome.person)
        table.add_row(name, *(f"{count:,} ({count / outcome.images:.3f})" for count in counts))
    lines = [plan.promise, table, list(outcomes.values())[-1].sentence]
    content: dict[str, Any] = {
        "review": plan.to_dict(),
        "outcomes": {name: vars(each) for name, each in outcomes.items()},
    }
    if options.hierarchy is not None:
        sure = roll_up(
            validation, hierarchy=options.hierarchy, target_error=options.target_error, confidence=options.confidence
        )
        said = sure.outcome(validation if test is None else test)
        lines += [sure.promise, f"{said.answered:,} of {said.images:,} are answered, {said.right:,} of them right."]
        content["roll_up"] = sure.to_dict()
    for line in lines:
        _print(line)
    if options.out is not None:
        from topk_lightning._files import write_file

        write_file(options.out, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
        rich.get_console().print(f"review plan: {options.out}", soft_wrap=True, highlight=False, markup=False)


def _print(line: object) -> None:
    """Print as it is: a class may be called what rich takes for a colour."""
    rich.get_console().print(line, highlight=False, markup=False)


def _scores(options: Any) -> tuple[Scores, Scores | None]:
    """Return the scores of the validation, and of the test where there are any."""
    if is_scores(options.source):
        validation = stored_scores(options.source, options)
        if options.test is None:
            return validation, None
        test = stored_scores(options.test, options, target=options.test_target)
        names = (validation.class_names, test.class_names)
        if test.num_classes != validation.num_classes or (None not in names and names[0] != names[1]):
            raise InvalidValueError(must("--test", "have the classes of the validation, in their order", "others"))
        return validation, test
    if options.test is not None:
        raise UsageError(must("--test", "be left out beside a checkpoint, which knows its test images", options.test))
    from topk_lightning.cli._trained_data import trained_data
    from topk_lightning.prediction import TrainedModel

    model = TrainedModel.load(checkpoint_of(options.source), options.network, trust=options.trust)
    data = trained_data(options.data, model)
    if isinstance(data, str):
        remedy = "A plan is fitted on validation images, which a folder of tests lacks."
        raise UsageError(must("--data", "be a yaml file of fit, emoji, or the training's folder", repr(data), remedy))
    data.prepare_data()
    data.setup()
    return _of_split(model, data, "val"), _of_split(model, data, "test")


def _of_split(model: Any, data: Any, split: str) -> Scores:
    import torch
    from torch.utils.data import DataLoader

    from topk_lightning.scores import Scores

    loader = DataLoader(data.evaluation_dataset(split), batch_size=data.batch_size)
    logits, target = [], []
    with model.evaluating(), torch.inference_mode():
        for images, label in loader:
            logits.append(model.logits(images).cpu())
            target.append(torch.as_tensor(label))
    return Scores(torch.cat(logits), torch.cat(target), kind="logits", class_names=data.class_names)


def _parser() -> OptionParser:
    parser = OptionParser(
        "review",
        "Say which pictures a person must see, with a promise about the errors in the others that fresh images keep.",
    )
    parser.add_argument("source", type=str, help="scores of validation images (.npz, .npy, .parquet), or a checkpoint")
    parser.add_argument(
        "--test", type=str | None, default=None, help="scores of test images, beside those of a validation"
    )
    parser.add_argument(
        "--data", type=str | None, default=None, help="for a checkpoint: other data than its training's"
    )
    parser.add_argument(
        "--target-error", type=float, default=0.05, help="share of errors that is promised (default: 0.05)"
    )
    parser.add_argument(
        "--among", choices=["all", "accepted"], default="all", help="of all pictures, or of those accepted"
    )
    parser.add_argument("--confidence", type=float, default=0.95, help="probability of the promise (default: 0.95)")
    parser.add_argument("--k", type=int | None, default=None, help="names on a list (default: 5 at most)")
    parser.add_argument(
        "--hierarchy", type=str | None, default=None, help="csv file or tree of folders: say the group when unsure"
    )
    parser.add_argument(
        "--classes", type=str | None, default=None, help="file of the only possible classes, or class,weight"
    )
    parser.add_argument("--out", type=str | None, default=None, help="a .json file for the plan")
    add_scores_options(parser)
    parser.add_argument("--test-target", type=str | None, default=None, help="as --target, of --test")
    parser.add_network_options()
    return parser
