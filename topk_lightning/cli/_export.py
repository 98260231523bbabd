"""``topk-lightning export``: a checkpoint as an ONNX file, as a program of torch.export or as a folder for Hugging Face."""

from __future__ import annotations

from collections.abc import Sequence

import rich

from topk_lightning._checks.options import check_integer
from topk_lightning._checks.places import check_file_place, check_folder_place
from topk_lightning.cli._errors import usage
from topk_lightning.cli._parser import OptionParser
from topk_lightning.cli._runs import checkpoint_of

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Write the model of the command line, and say what was compared and who reads it."""
    options = _parser().parse_args(list(words[1:]))
    with usage():
        if options.k is not None:
            check_integer("--k", options.k)
    checkpoint = checkpoint_of(options.checkpoint)
    # Only now: --help and mistakes need no torch.
    from topk_lightning.cli._finish import say
    from topk_lightning.export import export_model
    from topk_lightning.export.export_model import DEFAULT_OUT

    out = DEFAULT_OUT[options.format] if options.out is None else options.out
    (check_folder_place if options.format == "hf" else check_file_place)("--out", out)
    console = rich.get_console()
    with console.status("Exporting …"):
        written = export_model(
            checkpoint,
            out,
            format=options.format,
            k=options.k,
            opset=options.opset,
            report=options.report,
            image_size=options.image_size,
            network=options.network,
            trust=options.trust,
        )
    lines = [("exported", str(written.path))]
    if written.largest_difference is not None:
        far = f"{written.largest_difference:.0e}" if written.largest_difference else "0"
        lines.append(("compared", f"probabilities within {far} of those here, on random images"))
    elif written.k is not None:
        lines.append(("compared", "not, since onnxruntime is not installed"))
    say([*lines, ("read by", ", ".join(written.readers))])


def _parser() -> OptionParser:
    parser = OptionParser("export", "Write a trained model for others: network, softmax, k best classes and names.")
    parser.add_checkpoint()
    parser.add_argument(
        "--format", choices=["onnx", "torch", "hf"], required=True, help="a file for ONNX or torch, or a folder"
    )
    parser.add_optional("--out", str, "default: model.onnx, model.pt2 or model")
    parser.add_optional("--k", int, "how many classes it answers with")
    parser.add_argument("--opset", type=int, default=18, help="version of ONNX's operators, 18 or later")
    parser.add_optional("--report", str, "report.json for the model card")
    parser.add_optional("--image-size", int, "for a model that does not say it")
    parser.add_network_options()
    return parser
