"""``topk-lightning test``: measure a checkpoint on the test images of its training, or any module by a yaml file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from topk_lightning._checks import must
from topk_lightning._checks.options import check_integer
from topk_lightning.cli._errors import UsageError, usage
from topk_lightning.cli._parser import OptionParser
from topk_lightning.cli._runs import checkpoint_of

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Test by the words of the command line."""
    given = list(words[1:])
    if any(word.startswith(("--ckpt_path", "--config", "--data.", "--model", "--trainer")) for word in given):
        from topk_lightning.cli._lightning_cli import run
        from topk_lightning.cli._words import long_words

        run(["test", *long_words(given)])
        return
    options = _parser().parse_args(given)
    if options.batch_size is not None:
        with usage():
            check_integer("--batch-size", options.batch_size)
    checkpoint = checkpoint_of(options.checkpoint)
    # Only now: --help and mistakes need no torch.
    from topk_lightning.cli._quiet import quiet_lightning

    with quiet_lightning():
        _test(checkpoint, options)


def _test(checkpoint: str, options: Any) -> None:
    from pytorch_lightning import Trainer

    from topk_lightning.classifier import TopKClassifier
    from topk_lightning.cli._finish import show_test
    from topk_lightning.cli._progress import EpochProgressBar, shows_progress
    from topk_lightning.cli._running import until_stopped
    from topk_lightning.cli._stops import Stopped
    from topk_lightning.cli._test_result import TestResult
    from topk_lightning.cli._trained_data import trained_data
    from topk_lightning.prediction import TrainedModel

    data: Any = trained_data(options.data, TrainedModel.load(checkpoint))
    if isinstance(data, str):
        remedy = "topk-lightning report tests any folder."
        raise UsageError(must("--data", "be a yaml file of fit, emoji, or the training's folder", repr(data), remedy))
    model = TopKClassifier.load_from_checkpoint(checkpoint, map_location="cpu")
    data.batch_size = options.batch_size or data.batch_size
    result = TestResult()
    trainer = Trainer(
        accelerator=options.device,
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=shows_progress(),
        callbacks=[result, *([EpochProgressBar()] if shows_progress() else [])],
    )
    if not until_stopped(lambda: trainer.test(model, data, verbose=False)):
        raise Stopped
    show_test(trainer, result)


def _parser() -> OptionParser:
    parser = OptionParser(
        "test",
        "Measure a checkpoint on the test images of its training, with intervals. "
        "Options of fit's yaml form (--config FILE --ckpt_path CHECKPOINT) test any module and data.",
    )
    parser.add_argument(
        "checkpoint", type=str, help="file that a training of TopKClassifier saved, or the folder of a run"
    )
    parser.add_argument(
        "--data", type=str | None, default=None, help="a yaml file of fit, emoji, or the training's folder"
    )
    parser.add_argument(
        "--batch-size", type=int | None, default=None, help="images at a time (default: the training's)"
    )
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, gpu or mps")
    return parser
