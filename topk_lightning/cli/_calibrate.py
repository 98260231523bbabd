"""``topk-lightning calibrate``: the temperature under which probabilities mean what they say, and whether it helps."""

from __future__ import annotations

from collections.abc import Sequence

from topk_lightning.cli._errors import check_all_read
from topk_lightning.cli._out import check_out, print_line, write_json
from topk_lightning.cli._parser import OptionParser
from topk_lightning.cli._scores import add_validation_options, check_validation, validation_and_test

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Fit on validation images, measure on test images, and say whether it helps."""
    options = _parser().parse_args(list(words[1:]))
    check_validation(options)
    check_out(options.out)
    # Only now: --help and mistakes need no torch.
    from topk_lightning.decisions import calibrate_scores

    validation, test, *_ = validation_and_test(options)
    calibration = calibrate_scores(validation, test)
    where = (
        "on the other half of the images" if calibration.on_halves else f"on {calibration.test_images:,} test images"
    )
    low, high = calibration.low, calibration.high
    interval = "without an interval" if low != low else f"95 % interval {low:.3f} to {high:.3f}"
    for line in (
        f"temperature {calibration.temperature:.3f} ({interval}), fitted on {calibration.fit_images:,} images",
        f"expected calibration error {where}: {calibration.before.error:.3f} before, {calibration.after.error:.3f} after",
        calibration.sentence,
    ):
        print_line(line)
    if options.out is not None:
        write_json(options.out, calibration.to_dict(), "temperature")
    check_all_read(validation, test)


def _parser() -> OptionParser:
    parser = OptionParser(
        "calibrate",
        "Fit the temperature under which probabilities mean what they say, on validation images, and measure it on the test: "
        "it changes no guess and no top-k accuracy.",
    )
    add_validation_options(parser)
    parser.add_optional("--out", str, "a .json file for the temperature and the errors")
    return parser
