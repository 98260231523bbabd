"""``topk-lightning sets``: how many names must be shown, so that the right one is among them as often as is promised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import rich
from jsonargparse import Namespace

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_choice, check_positive
from topk_lightning.cli._errors import UsageError, check_all_read, check_share, usage
from topk_lightning.cli._out import check_out, print_line, write_json
from topk_lightning.cli._parser import OptionParser
from topk_lightning.cli._possible import add_classes_option, possible_classes, possible_scores
from topk_lightning.cli._runs import checkpoint_of
from topk_lightning.cli._scores import add_validation_options, check_validation, validation_and_test

if TYPE_CHECKING:
    from topk_lightning.decisions import PredictionSets, SetOutcome
    from topk_lightning.prediction import TrainedModel
    from topk_lightning.scores import Scores

__all__ = ["main"]

#: The promises that are shown beside the one that is asked for.
_PROMISES = (0.8, 0.9, 0.95)


def main(words: Sequence[str]) -> None:
    """Fit prediction sets on validation images, keep them, and say what they come to on the test."""
    options = _parser().parse_args(list(words[1:]))
    with usage():
        check_share(options.coverage)
        check_choice("--method", options.method, ("lac", "aps", "raps", "rank"))
        for name in ("penalty", "k"):
            if options[name] is not None and options.method != "raps":
                raise UsageError(must(f"--{name}", f"be left out for {options.method}: it is of raps", options[name]))
        if options.temperature != "fit":
            try:
                check_positive("--temperature", float(options.temperature))
            except ValueError:
                wanted = 'be a number above 0 or "fit"'
                raise UsageError(must("--temperature", wanted, repr(options.temperature))) from None
    check_validation(options, keeps=True)
    check_out(options.out)
    # Only now: --help and mistakes need no torch.
    fit_on, test, model, _ = validation_and_test(options)
    counts = None if model is None else _class_counts(model)
    read = fit_on, test
    classes = possible_classes(options, fit_on.names)
    fit_on, test = possible_scores(classes, fit_on, "validation "), possible_scores(classes, test, "test ")
    if classes is not None and counts is not None:
        counts = [counts[index] * weight for index, weight in zip(classes.indices, classes.weights, strict=True)]
    if fit_on.best is None and _with_nan(fit_on) == len(fit_on):
        raise InvalidValueError(must("scores", "have an image without a NaN", "none"))
    sets = _fitted(fit_on, counts, options)
    _say(sets, fit_on, test)
    if options.out is not None:
        write_json(options.out, _plain(sets.as_dict()), "sets")
    if model is not None:
        from topk_lightning.prediction import save_prediction_sets

        checkpoint = checkpoint_of(options.source)
        save_prediction_sets(checkpoint, sets, classes)
        more = "" if classes is None else f" --classes {options.classes}"
        print_line(
            f"saved in {checkpoint}: topk-lightning predict {checkpoint} PICTURES --coverage {options.coverage:g}{more}"
        )
    check_all_read(*read)


def _class_counts(model: TrainedModel) -> Any:
    """Return how many images of each class a network was trained on."""
    from topk_lightning.data import TrainingData

    return TrainingData.of(model.training_data).class_counts


def _fitted(fit_on: Scores, counts: Any, options: Namespace) -> PredictionSets:
    from topk_lightning.decisions import PredictionSets
    from topk_lightning.temperature_scaler import TemperatureScaler

    temperature = options.temperature
    if temperature == "fit":
        parts = [block.logits.float() for block in fit_on.blocks("a temperature")]
        import torch

        scaler = TemperatureScaler().fit(torch.cat(parts), fit_on.labels("a temperature"))
        temperature = float(scaler.temperature)
        said = f"Temperature {temperature:.3g}, fitted on the same images: the promise is close, no longer exact."
        rich.get_console().print(said, highlight=False)
    if options.macro and counts is None:
        said = "Shares of the classes are those of the images of the fit: the promise is close, no longer exact."
        rich.get_console().print(said, highlight=False)
    return PredictionSets(
        options.method,
        options.coverage,
        temperature=float(temperature),
        by="class" if options.by_class else None,
        prevalence=None if not options.macro else "fit" if counts is None else counts,
        allow_empty=options.allow_empty,
        **{name: options[name] for name in ("penalty", "k") if options[name] is not None},
    ).fit(fit_on)


def _with_nan(scores: Scores) -> int:
    """Return of how many images a score is NaN."""
    return sum(int(block.values.isnan().any(1).sum()) for block in scores.blocks())


def _say(sets: PredictionSets, fit_on: Scores, test: Scores | None) -> None:
    from rich.table import Table

    from topk_lightning.decisions import measure_sets

    console, shown = rich.get_console(), fit_on if test is None else test
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("promised", "on the test" if test is not None else "on these images", "names on average", "median"):
        table.add_column(heading, justify="right")
    table.add_column("at most 5", justify="right")
    promises = sorted({*_PROMISES, sets.coverage})
    outcomes = [measure_sets(sets.at(promise), shown) for promise in promises]
    for outcome in outcomes:
        table.add_row(*_cells(outcome), style="bold" if outcome.promise == sets.coverage else "")
    images = f"{sets.images:,} images" + ("" if test is None else f", tested on {len(test):,}")
    console.print(f"{sets.options.method.upper()}, fitted on {images}.", highlight=False)
    console.print(table)
    chosen = outcomes[promises.index(sets.coverage)]
    lines = [chosen.sentence]
    if unanswered := _with_nan(shown):
        lines.append(
            f"{unanswered:,} of {len(shown):,} images have a NaN score: they are shown no name and count as missed."
        )
    if sets.too_few:
        few = ", ".join(sets.too_few[:5]) + (", …" if len(sets.too_few) > 5 else "")
        lines.append(f"{len(sets.too_few)} classes have too few images for a threshold of their own: {few}.")
    if chosen.filled:
        lines.append(f"{chosen.filled:,} images with an empty set are shown the first guess.")
    lines += [chosen.warning] if test is not None and chosen.warning else []
    if test is None:
        lines.append("Sizes are those on the images of the fit; --test FILE measures the promise on others.")
    for line in lines:
        print_line(line)


def _cells(outcome: SetOutcome) -> list[str]:
    summary = outcome.summary
    return [
        f"{100 * outcome.promise:g} %",
        f"{100 * summary.coverage:.1f} % ({100 * summary.low:.1f} to {100 * summary.high:.1f})",
        f"{summary.mean_size:.1f}",
        f"{summary.median_size:g}",
        f"{100 * summary.at_most(5):.0f} %",
    ]


def _plain(value: Any) -> Any:
    """Return what JSON has a form for; an infinite score is null."""
    import torch

    if isinstance(value, torch.Tensor):
        return [number if number != float("inf") else None for number in value.tolist()]
    return {name: _plain(part) for name, part in value.items()} if isinstance(value, dict) else value


def _parser() -> OptionParser:
    parser = OptionParser(
        "sets",
        "Find how many names must be shown so that the right one is among them as often as promised: fit on validation "
        "images, measure on test images, keep the fit in the checkpoint.",
    )
    parser.add_argument("--coverage", type=float, default=0.9, help="how often the right name shall be among them")
    parser.add_argument("--method", type=str, default="lac", help="lac (smallest sets), aps, raps or rank (a fixed k)")
    parser.add_argument("--by-class", action="store_true", help="a threshold for each class, so that each is covered")
    parser.add_argument("--macro", action="store_true", help="lac by the share of each class: covers rare ones better")
    parser.add_argument("--allow-empty", action="store_true", help="show no name where none is likely enough")
    parser.add_argument("--temperature", type=str, default="1", help='divides the logits; "fit": the calibrated one')
    parser.add_optional("--penalty", float, "of raps, for each rank beyond --k (default: 0.01)")
    parser.add_optional("--k", int, "of raps, ranks without a penalty (default: 5)")
    add_classes_option(parser)
    parser.add_optional("--out", str, "a .json file for the fit as plain data")
    add_validation_options(parser)
    return parser
