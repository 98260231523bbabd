"""``topk-lightning calibrate``: the temperature under which probabilities mean what they say, and whether it helps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich

from topk_lightning._checks import must
from topk_lightning.cli._errors import UsageError
from topk_lightning.cli._parser import OptionParser
from topk_lightning.cli._runs import check_writable, checkpoint_of
from topk_lightning.cli._scores import NO_FILE, NO_IMAGES, add_scores_options, check_used, is_scores, stored_scores

if TYPE_CHECKING:
    from topk_lightning.scores import Scores

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Fit on validation images, measure on test images, and say whether it helps."""
    options = _parser().parse_args(list(words[1:]))
    _check_used(options)
    if options.out is not None:
        if not options.out.lower().endswith(".json"):
            raise UsageError(must("--out", "end in .json", repr(options.out)))
        check_writable(Path(options.out))
    # Only now: --help and mistakes need no torch.
    from topk_lightning.cli._quiet import quiet_lightning

    with quiet_lightning():
        validation, test = _scores(options)
        from topk_lightning.decisions import calibrate_scores

        calibration = calibrate_scores(validation, test)
    console = rich.get_console()
    where = (
        "on the other half of the images" if calibration.on_halves else f"on {calibration.test_images:,} test images"
    )
    for line in (
        f"temperature {calibration.temperature:.3f} (95 % interval {calibration.low:.3f} to {calibration.high:.3f}), fitted on {calibration.fit_images:,} images",
        f"expected calibration error {where}: {calibration.before.error:.3f} before, {calibration.after.error:.3f} after",
        calibration.sentence,
    ):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if options.out is not None:
        from topk_lightning._files import write_file

        write_file(options.out, (json.dumps(calibration.to_dict(), indent=1) + "\n").encode())
        console.print(f"temperature: {options.out}", soft_wrap=True, highlight=False, markup=False)


def _scores(options: Any) -> tuple[Scores, Scores | None]:
    if is_scores(options.source):
        validation = stored_scores(options.source, options)
        test = None if options.test is None else stored_scores(options.test, options, target=options.test_target)
        return validation, test
    from topk_lightning.cli._trained_data import trained_data
    from topk_lightning.prediction import TrainedModel
    from topk_lightning.report import score_images

    model = TrainedModel.load(checkpoint_of(options.source), options.network, trust=options.trust)
    data = trained_data(options.data, model)
    size = options.batch_size or 32
    return score_images(model, data, "val", batch_size=size), score_images(model, data, "test", batch_size=size)


def _check_used(options: Any) -> None:
    """Raise for an option that nothing would use."""
    if is_scores(options.source):
        check_used(options, {"data": None, "network": None, "trust": [], "batch_size": None}, NO_IMAGES)
        if options.test is None:
            check_used(options, {"test_target": None}, "without --test")
    else:
        unused = ("test", "test_target", "kind", "target", "class_names")
        check_used(options, dict.fromkeys(unused), NO_FILE)


def _parser() -> OptionParser:
    parser = OptionParser(
        "calibrate",
        "Fit the temperature under which probabilities mean what they say, on validation images, and measure it on the test: "
        "it changes no guess and no top-k accuracy.",
    )
    parser.add_argument(
        "source", type=str, help="scores of validation images (.npz, .npy, .parquet), or a checkpoint or run"
    )
    parser.add_optional("--test", str, "scores of test images (default: halves of the first)")
    parser.add_optional("--test-target", str, "their right classes, as --target")
    parser.add_optional("--data", str, "of a checkpoint, as for report")
    parser.add_optional("--batch-size", int, "images at a time, for a folder")
    parser.add_optional("--out", str, "a .json file for the temperature and the errors")
    add_scores_options(parser)
    parser.add_network_options()
    return parser
