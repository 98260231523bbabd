"""``topk-lightning trace``: what each layer of a network does with an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import rich

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.places import check_file_place
from topk_lightning.cli._errors import UsageError, check_given_files, check_max_pixels
from topk_lightning.cli._out import print_line
from topk_lightning.cli._parser import OptionParser, check_logit_adjustment
from topk_lightning.cli._runs import checkpoint_of

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Trace the prediction of the command line and print it."""
    options = _parser().parse_args(list(words[1:]))
    check_max_pixels(options.max_pixels)
    check_logit_adjustment(options.logit_adjustment)
    if options.picture is not None and not options.picture.lower().endswith(".png"):
        raise UsageError(must("--picture", "end in .png", repr(options.picture)))
    if options.picture is not None:
        check_file_place("--picture", options.picture)
    checkpoint = checkpoint_of(options.checkpoint)
    check_given_files("image", [options.image])
    # Only now: --help and mistakes need no torch.
    from topk_lightning.data import TooLargeImageError
    from topk_lightning.prediction import TrainedModel, trace_prediction

    model = TrainedModel.load(
        checkpoint, options.network, logit_adjustment=options.logit_adjustment, trust=options.trust
    )
    given = {"k": options.k, "target": options.target, "max_pixels": options.max_pixels}
    try:
        trace = trace_prediction(model, Path(options.image), **given)
    except TooLargeImageError as error:
        raise InvalidValueError(f"{error.sentence} A larger --max-pixels lets it in.") from error
    rich.print(replace(trace, problem=""))
    if trace.problem:
        raise InvalidValueError(trace.problem)
    if options.picture is not None:
        from topk_lightning._files import write_file
        from topk_lightning.drawing import png_of
        from topk_lightning.prediction import layer_picture

        path = Path(options.picture)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, png_of(layer_picture(trace)))
        rich.print()
        print_line(f"picture: {path}")


def _parser() -> OptionParser:
    parser = OptionParser("trace", "Show what each layer of a network does with an image, down to its k best classes.")
    parser.add_checkpoint()
    parser.add_argument("image", type=str, help="an image file")
    parser.add_optional("--k", int, "how many classes, 1 up to their number (default: 5 at most)")
    parser.add_optional("--target", str, "the true class: a name or an index")
    parser.add_optional("--picture", str, "a PNG file with feature maps", metavar="FILE")
    parser.add_max_pixels()
    parser.add_logit_adjustment()
    parser.add_network_options()
    return parser
