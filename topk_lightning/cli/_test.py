"""``topk-lightning test``: measure a checkpoint on the test images of its training, or any module by a yaml file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_integer
from topk_lightning._checks.places import check_file_place
from topk_lightning.cli._errors import UsageError, check_all_read, usage
from topk_lightning.cli._out import print_line
from topk_lightning.cli._parser import OptionParser
from topk_lightning.cli._possible import add_classes_option, possible_classes, possible_scores
from topk_lightning.cli._runs import checkpoint_of
from topk_lightning.cli._scores import NO_FILE, NO_IMAGES, add_scores_options, check_used, is_scores, stored_scores

if TYPE_CHECKING:
    from topk_lightning.prediction import TrainedModel
    from topk_lightning.scores import Scores

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
    if options.save_scores is not None and not options.save_scores.lower().endswith((".npz", ".parquet", ".csv")):
        raise UsageError(must("--save-scores", "end in .npz, .parquet or .csv", repr(options.save_scores)))
    if is_scores(options.checkpoint):
        if options.save_scores is not None:
            wanted = "be left out for a file of scores, which has them"
            raise UsageError(must("--save-scores", wanted, repr(options.save_scores)))
        unused: dict[str, Any] = {
            "data": None,
            "batch_size": None,
            "network": None,
            "trust": [],
            "scores_dtype": None,
            "device": "auto",
        }
        check_used(options, unused, NO_IMAGES)
        _test_scores(options)
        return
    checkpoint = checkpoint_of(options.checkpoint)
    if options.save_scores is not None:
        check_file_place("--save-scores", options.save_scores)
    else:
        check_used(options, {"scores_dtype": None}, "without --save-scores")
    check_used(options, dict.fromkeys(("kind", "target", "class_names")), NO_FILE)
    # Only now: --help and mistakes need no torch.
    from topk_lightning.cli._quiet import quiet_lightning

    with quiet_lightning():
        if options.classes is None:
            _test(checkpoint, options)
        else:
            _test_possible(checkpoint, options)


def _test_possible(checkpoint: str, options: Any) -> None:
    """Measure a checkpoint on the images of some classes, with the scores of these alone."""
    from topk_lightning.cli._trained_data import trained_data
    from topk_lightning.prediction import TrainedModel
    from topk_lightning.report import score_images

    if options.save_scores is not None:
        wanted = "be left out with --classes: scores are kept of all classes"
        raise UsageError(must("--save-scores", wanted, repr(options.save_scores)))
    model = TrainedModel.load(checkpoint, options.network, trust=options.trust)
    scores = score_images(model, trained_data(options.data, model))
    _say_scores(scores, options)
    check_all_read(scores)


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

    trained = TrainedModel.load(checkpoint, options.network, trust=options.trust)
    data: Any = trained_data(options.data, trained)
    if isinstance(data, str):
        remedy = "topk-lightning report tests any folder."
        raise UsageError(must("--data", "be a yaml file of fit, emoji, or the training's folder", repr(data), remedy))
    given = {} if options.network is None else {"network": trained.network}
    model = TopKClassifier.load_from_checkpoint(checkpoint, map_location="cpu", trust=options.trust, **given)
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
    if options.save_scores is not None:
        _save(trained, data, options)
    check_all_read(data.unreadable)


def _save(model: TrainedModel, data: Any, options: Any) -> None:
    import torch

    from topk_lightning.report import score_images
    from topk_lightning.scores import write_scores

    scores = score_images(model, data)
    dtype = None if options.scores_dtype is None else getattr(torch, options.scores_dtype)
    changed = write_scores(scores, options.save_scores, dtype=dtype)
    said = f"scores: {options.save_scores}"
    if dtype is not None:
        said += f", in {options.scores_dtype}: the class of {changed:.2%} of the images has another rank"
    print_line(said)


def _test_scores(options: Any) -> None:
    """Measure stored scores: no network and no images."""
    scores = stored_scores(options.checkpoint, options)
    if scores.target is None:
        remedy = "Name a file of the right classes with --target."
        raise InvalidValueError(must("scores", "have a target for a test", "none", remedy))
    _say_scores(scores, options)


def _say_scores(scores: Scores, options: Any) -> None:
    """Measure scores and say what came out."""
    import rich

    from topk_lightning.cli._test_result import TestResult, TopKResult, result_table
    from topk_lightning.metrics import TopKAccuracies, wilson_interval

    scores = possible_scores(possible_classes(options, scores.names), scores)
    result = TestResult()
    if scores.best is None:
        metrics = TopKAccuracies([k for k in (1, 3, 5) if k <= scores.num_classes])
        for block in scores.blocks():
            metrics.update(block.values, block.target, sample_weight=block.sample_weight)
        for member in metrics.values():
            metric: Any = member
            low, high = metric.confidence_interval(0.95).tolist()
            result.topk.append(TopKResult(metric.k, float(metric.compute()), low, high, metric.k / scores.num_classes))
    else:
        import torch

        for k in (1, 3, 5):
            if k <= scores.best.shape[1]:
                share, count = scores.hits(k).double().mean(), torch.tensor(float(len(scores)))
                low, high = wilson_interval(share, count, 0.95).tolist()
                result.topk.append(TopKResult(k, float(share), low, high, k / scores.num_classes))
    rich.get_console().print(f"{scores}", highlight=False, markup=False)
    rich.get_console().print(result_table(result))


def _parser() -> OptionParser:
    parser = OptionParser(
        "test",
        "Measure a checkpoint on the test images of its training, with intervals. "
        "Options of fit's yaml form (--config FILE --ckpt_path CHECKPOINT) test any module and data.",
    )
    parser.add_checkpoint(", or a file of scores (.npz, .npy, …)")
    parser.add_optional("--data", str, "a yaml file of fit, emoji, or the training's folder")
    parser.add_optional("--batch-size", int, "images at a time (default: the training's)")
    parser.add_optional("--save-scores", str, "file for the scores (.npz, .parquet, .csv)")
    parser.add_optional("--scores-dtype", Literal["float16", "float32"], "float16 or float32 (default: as they are)")
    add_classes_option(parser)
    add_scores_options(parser)
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, gpu or mps")
    parser.add_network_options()
    return parser
