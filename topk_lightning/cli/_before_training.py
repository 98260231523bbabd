"""What ``fit`` does before it trains: say an image that stops it, find a learning rate, show what the network would see."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._files import write_file
from topk_lightning.classifier import TopKClassifier, images_and_target
from topk_lightning.cli._errors import chain
from topk_lightning.cli._progress import shows_progress
from topk_lightning.data import BadImageError
from topk_lightning.drawing import NamedPicture, draw_picture, new_figure, png_of, visible_text
from topk_lightning.prediction import TrainedModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["bad_image_by_options", "batch_figure", "find_lr", "write_batch"]

_SHOWN, _ACROSS = 24, 6  # images of a batch
_LONGEST = 26  # characters of a name
_STEPS = 100  # of the search
_LOWEST = 1e-5  # where it begins: further down the loss hardly moves, and chance decides where it falls fastest


@contextlib.contextmanager
def bad_image_by_options() -> Iterator[None]:
    """Within it, an image that cannot be read names the ways out as options of the command line."""
    try:
        yield
    except Exception as error:
        for cause in chain(error):
            if isinstance(cause, BadImageError):
                said = cause.said("--data.on_bad_image skip", "--data.max_pixels")
                raise InvalidValueError(said) from error
        raise


def find_lr(trainer: Trainer, model: LightningModule, data: Any) -> float:
    """Return the learning rate that Lightning's finder suggests, and let the module train with it.

    A hundred steps with a rate that rises from 1e-5 to 1; where the loss falls fastest is the answer. The weights are put
    back.

    Raises:
        ValueError: the loss fell nowhere.
    """
    from pytorch_lightning.tuner.tuning import Tuner

    epochs = trainer.fit_loop.max_epochs
    trainer.fit_loop.max_epochs = _STEPS  # of few steps each, where there are few images
    # Lightning draws a bar of its own.
    with contextlib.nullcontext() if shows_progress() else contextlib.redirect_stderr(io.StringIO()):
        # No early end: it would come at once for a loss that begins near 0.
        finder = Tuner(trainer).lr_find(
            model, datamodule=data, min_lr=_LOWEST, num_training=_STEPS, early_stop_threshold=None
        )
    trainer.fit_loop.max_epochs = epochs
    rate = None if finder is None else finder.suggestion()
    if rate is None:
        remedy = "Leave --find-lr out, or give --lr."
        raise InvalidValueError(must("--find-lr", "find a rate at which the loss falls", "none", remedy))
    return float(rate)


def write_batch(model: LightningModule, data: Any, path: Path) -> None:
    """Write a picture of the first training batch: augmented, mixed and labelled as the network would see it."""
    published = getattr(model, "published_preprocessing", None)
    if published is not None and hasattr(data, "prepare_for"):
        data.prepare_for(published)
    data.prepare_data()
    data.setup("fit")
    images, target = images_and_target(next(iter(data.train_dataloader())))
    images, target = images[:_SHOWN], target[:_SHOWN]
    if isinstance(model, TopKClassifier):
        images, target = model.soft_targets(images, target)
    names = getattr(model, "class_names", None) or getattr(data, "class_names", None)
    preprocessing = getattr(data, "preprocessing", None)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, png_of(batch_figure(TrainedModel(model, names, preprocessing), images, target)))


def batch_figure(model: TrainedModel, images: Tensor, target: Tensor) -> Figure:
    """Return a figure of prepared images (N, channels, H, W) with their classes, or shares of classes, above them."""
    down = math.ceil(len(images) / _ACROSS)
    figure = new_figure(2.0 * _ACROSS, 2.3 * down)
    for index, (image, label) in enumerate(zip(images, target, strict=True)):
        axes = figure.add_subplot(down, _ACROSS, index + 1)
        draw_picture(axes, NamedPicture(model.picture(image).squeeze(-1), "", ()))
        axes.set_title(_title(label, model.class_names), fontsize=8, parse_math=False)
    figure.tight_layout(pad=0.6)
    return figure


def _title(label: Tensor, names: list[str] | None) -> str:
    def name(index: int) -> str:
        return str(index) if names is None else visible_text(names[index])[:_LONGEST]

    if label.ndim == 0:
        return name(int(label))
    shares = sorted(enumerate(label.tolist()), key=lambda pair: -pair[1])
    # What label smoothing gives to all is no part of the picture.
    even = min(label.tolist())
    return "\n".join(f"{name(index)} {share:.2f}" for index, share in shares[:2] if share > even)
