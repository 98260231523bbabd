"""What TopKClassifier says of losses, batches and checkpoints that it cannot work with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.metric_as_loss import check_differentiable, refuse_metric
from topk_lightning._checks.options import check_integer
from topk_lightning.data import MAX_PIXELS
from topk_lightning.networks.compiled import original_module
from topk_lightning.networks.misfit import check_image_size, check_own_network

__all__ = [
    "channels_last",
    "check_class_count",
    "check_data_module",
    "check_images_fit",
    "check_loss",
    "check_scalar_loss",
    "lightning_package",
    "not_restored",
    "resumed_within_epoch",
]

_LOSSES = "torch.nn.CrossEntropyLoss or one of topk_lightning.losses"


def check_class_count(num_classes: int | None, class_names: Sequence[str] | None) -> int:
    """Return the number of classes: given, or as many as there are names."""
    if num_classes is None and class_names is None:
        remedy = "For a data module, pass num_classes=datamodule.num_classes."
        raise InvalidValueError(must("num_classes", "be given where class_names is not", None, remedy))
    return check_integer("num_classes", num_classes if class_names is None else len(class_names), minimum=2)


def check_loss(loss: Any) -> None:
    """Raise if `loss` cannot be called, or is a metric."""
    refuse_metric(loss)
    if isinstance(loss, type):
        name = loss.__name__
        requirement = "be an object that is called with (logits, target)"
        raise InvalidTypeError(must("loss", requirement, f"the class {name}", f"Did you mean {name}()?"))
    if not callable(loss):
        raise InvalidTypeError(must("loss", "be a callable of (logits, target)", f"{loss!r}", f"Use {_LOSSES}."))


def check_scalar_loss(loss: Any, logits: Tensor) -> Tensor:
    """Return the value of a loss if it is one number, with a gradient where the logits have one."""
    requirement = "return one number (a tensor of shape ())"
    if not isinstance(loss, Tensor):
        raise InvalidTypeError(must("loss", requirement, type(loss).__name__, f"Use {_LOSSES}."))
    check_differentiable(loss, logits)
    if loss.ndim:
        raise InvalidValueError(must("loss", requirement, f"shape {tuple(loss.shape)}", 'Use reduction="mean".'))
    return loss


def not_restored(argument: str, what: str) -> InvalidValueError:
    """Return the error for a loss or optimizer that a checkpoint could not keep as plain data."""
    wrong = f"a checkpoint of {what}, which cannot be rebuilt by name"
    return InvalidValueError(must(argument, "be given again", wrong, f"Pass {argument}= to load_from_checkpoint."))


def check_data_module(module: object, trainer: Any) -> None:
    """Raise where a trainer was given a data module of the other Lightning package, which it takes for a loader."""
    loops = (getattr(trainer, f"{stage}_loop", None) for stage in ("fit", "validate", "test", "predict"))
    sources = [getattr(getattr(loop, "_data_source", None), "instance", None) for loop in loops]
    package = lightning_package(module)
    for data in (getattr(trainer, "datamodule", None), *sources):
        other = _package(data, "LightningDataModule")
        if other is not None and package is not None and other != package:
            name = type(data).__name__
            if type(data).__module__.startswith("topk_lightning."):
                home = "topk_lightning" if package == "pytorch_lightning" else "topk_lightning.lightning"
                remedy = f"Import {name} from {home}."
            else:
                remedy = f"Derive {name} from {package}.LightningDataModule."
            wanted = f"be a data module of {package}, as the trainer is"
            raise InvalidTypeError(must("datamodule", wanted, f"one of {other}", remedy))


def check_images_fit(module: Any, data: Any, trainer: Any) -> None:
    """Raise for a network that does not take images of the size of a data module of this library, before a training.

    A network of the user's own is called where no class of theirs stands between: it may make other images of these.
    """
    network = original_module(module.network)
    size = getattr(data, "image_size", None) if hasattr(data, "prepare_for") else None
    if trainer.state.fn == "fit" and size is not None and size**2 <= MAX_PIXELS:
        check_image_size(network, size)
        if all(type(part).__module__.startswith("topk_lightning.") for part in (module, data)):
            check_own_network(network, size, data.batch_size)


def lightning_package(module: object) -> str | None:
    """Return the Lightning package that a module belongs to, "pytorch_lightning" or "lightning.pytorch"."""
    return _package(module, "LightningModule")


def _package(instance: object, base: str) -> str | None:
    """Return the Lightning package from which an object has its base class."""
    tops = [kind.__module__.partition(".")[0] for kind in type(instance).__mro__ if kind.__name__ == base]
    return {"lightning": "lightning.pytorch", "pytorch_lightning": "pytorch_lightning"}.get(tops[-1] if tops else "")


def channels_last(images: Any) -> InvalidValueError | None:
    """Return the error for images (N, H, W, channels) that a network could not take; None for other images."""
    if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[1] in (1, 3, 4):
        return None
    if images.shape[3] not in (1, 3, 4):
        return None
    remedy = "Put the channels second with images.permute(0, 3, 1, 2)."
    return InvalidValueError(must("images", "have shape (N, channels, H, W)", tuple(images.shape), remedy))


def resumed_within_epoch(epoch: int, batch: int, batches: float, keeps_state: bool) -> str:
    """Return the warning for a training that goes on in the middle of an epoch; `epoch` and `batch` count from 0."""
    sentence = (
        f"Training goes on within epoch {epoch + 1}, with batch {batch + 1} of {batches}: train/loss and train/top<k> of this "
        "epoch are over its batches from there on."
    )
    if keeps_state:
        return sentence
    return f"{sentence} The loader keeps no state, so these are its first batches again."
