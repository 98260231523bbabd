"""A trained network with all that is known of it, read once from a checkpoint or taken from a module."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.class_names import check_class_names
from topk_lightning.decisions import ClassList
from topk_lightning.networks.compiled import original_module
from topk_lightning.networks.outputs import check_logits, warn_of_probabilities
from topk_lightning.prediction._checkpoint import read_checkpoint, trained_network
from topk_lightning.prediction._errors import check_prepared_images, content_of, missing_preprocessing, not_normalised
from topk_lightning.prediction._fitted import Fitted
from topk_lightning.prediction._folder import find_checkpoint
from topk_lightning.prediction._logit_adjustment import LogitAdjustment, adjustment_of
from topk_lightning.prediction._preprocessing import as_preprocessing, picture_of

if TYPE_CHECKING:
    from topk_lightning.data import Preprocessing

__all__ = ["TrainedModel"]

_MOST_PREPARED = 20  # standard deviations from the mean: pixels from 0 to 255 reach further, normalised ones never do


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """Hold a trained network and what a checkpoint or a module says of it; made by :meth:`load`.

    Args:
        network: returns logits (N, C) of prepared images.
        class_names: in the order of its outputs; None where they are not known.
        preprocessing: how images become its input; None where it is not known.
        k: the k that it was measured by, ascending; empty where it was not.
        hyperparameters: the options of the TopKClassifier that it was trained by, as plain data.
        epochs: the rows of the epoch table that TrainingTrace left in the checkpoint.
        path: the checkpoint; None for a module.
        steps: optimizer steps of its training, where it is from a checkpoint.
        training_data: what the checkpoint keeps of its data, for :meth:`TrainingData.of`.
        adjustment: what is done to the logits of the network; None: nothing.
        fitted: what was fitted for it and kept in the checkpoint: prediction sets, a review plan.
        classes: the classes that are possible where predictions are made; None: all.

    Examples:
        >>> model = TrainedModel.load(nn.Flatten(), class_names=["ant", "bee", "cat"])
        >>> model.logits(torch.eye(3).view(3, 3, 1, 1)).argmax(1)
        tensor([0, 1, 2])
    """

    network: nn.Module
    class_names: list[str] | None = None
    preprocessing: Preprocessing | None = None
    k: tuple[int, ...] = ()
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    epochs: Sequence[Mapping[str, Any]] = ()
    path: Path | None = None
    steps: int = 0
    training_data: Mapping[str, Any] = field(default_factory=dict)
    adjustment: LogitAdjustment | None = None
    fitted: Fitted = field(default_factory=Fitted)
    classes: ClassList | None = None

    @classmethod
    def load(
        cls,
        model: str | Path | nn.Module | TrainedModel,
        network: nn.Module | str | None = None,
        *,
        class_names: Sequence[str] | Mapping[Any, Any] | None = None,
        preprocessing: Any = None,
        logit_adjustment: float = 0.0,
        class_counts: Tensor | Sequence[int] | None = None,
        trust: Iterable[str] = (),
    ) -> TrainedModel:
        """Return a model with what is known of it; one from a checkpoint is on the GPU, if there is one.

        The file is read once, with ``weights_only=True`` and its checksums. Its network is built from a class of
        topk_lightning, torch, torchvision or timm, without reading another file or opening a connection; the modules of
        other packages are imported only where they are trusted by name, since importing runs their code.

        Args:
            model: path of a checkpoint that TopKClassifier saved, or of the folder of a run, a TopKClassifier, any nn.Module that returns logits, or a
                model that was loaded before.
            network: the network of a checkpoint that cannot name it, or "package.module:function" that returns it.
            class_names: a list, {index: name} or {name: index}; None: those of the model.
            preprocessing: a Preprocessing or the dict of one; None: that of the model.
            logit_adjustment: strength of :func:`topk_lightning.losses.adjust_logits`; 0: what was loaded before stays as it is.
            class_counts: training images per class (C,) for it; None: those that the checkpoint keeps.
            trust: packages of others that the checkpoint may name.

        Raises:
            FileNotFoundError: no such file.
            ValueError: a damaged checkpoint, one of something else, one that asks for `network`, or an adjustment of what
                was adjusted in training or whose counts are not known.
        """
        if isinstance(model, TrainedModel):
            loaded = model
        elif isinstance(model, nn.Module):
            loaded = _from_module(model)
        else:
            loaded = _from_checkpoint(find_checkpoint(model) or Path(model), network, trust)
        adjustment = adjustment_of(logit_adjustment, class_counts, loaded.hyperparameters, loaded.training_data)
        if adjustment is not None:
            loaded = replace(loaded, adjustment=adjustment)
        if class_names is None and preprocessing is None:
            return loaded
        number = loaded.hyperparameters.get("num_classes")
        names = loaded.class_names if class_names is None else check_class_names(class_names, number)
        prepared = loaded.preprocessing if preprocessing is None else as_preprocessing(preprocessing)
        return replace(loaded, class_names=names, preprocessing=prepared)

    @property
    def fits(self) -> Fitted:
        """What was fitted for its possible classes and its scores as they are."""
        return self.fitted.usable(self.classes, self.adjustment is not None)

    def only(self, classes: Any) -> TrainedModel:
        """Return it with predictions of some classes alone, as :meth:`topk_lightning.decisions.ClassList.of` takes them."""
        if self.class_names is None:
            raise InvalidValueError(must("classes", "be left out for a model that does not name its classes", "some"))
        return replace(self, classes=ClassList.of(classes, self.class_names))

    def known_preprocessing(self) -> Preprocessing:
        """Return how images are prepared.

        Raises:
            ValueError: it is not known.
        """
        if self.preprocessing is None:
            raise missing_preprocessing()
        return self.preprocessing

    @property
    def kind(self) -> str:
        """Name of the class of the network, without what wraps it."""
        inner = getattr(self.network, "network", None)
        return type(original_module(inner if isinstance(inner, nn.Module) else self.network)).__name__

    @property
    def device(self) -> torch.device:
        """Where the weights of the network are; the CPU for one without."""
        tensors = (tensor for tensors in (self.network.parameters(), self.network.buffers()) for tensor in tensors)
        return next((tensor.device for tensor in tensors), torch.device("cpu"))

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Put the network into evaluation mode, and each of its modules back into its own mode afterwards."""
        training = [module for module in self.network.modules() if module.training]
        self.network.eval()
        try:
            yield
        finally:
            for module in training:
                module.training = True

    def logits(self, images: Tensor, num_classes: int | None = None) -> Tensor:
        """Return the logits (N, C) of prepared images (N, channels, H, W), in evaluation mode, on the device of the network.

        At the first images it is looked whether they are probabilities, of which a softmax must not be taken again.
        """
        with self.evaluating():
            logits = check_logits(self.network(images.to(self.device)), len(images), num_classes)
        if len(logits) and not self._seen:
            self._seen.append(True)
            warn_of_probabilities(logits, stacklevel=3)
        return logits if self.adjustment is None else self.adjustment(logits)

    def prepare(self, image: Any, prepared: bool = False) -> Tensor:
        """Return the tensor (channels, H, W) that the network sees.

        Args:
            image: a Path, a PIL image or a uint8 tensor, which are prepared as in training; a floating-point tensor is
                taken as prepared.
            prepared: do not ask whether the values of such a tensor may be pixels.
        """
        if isinstance(image, Tensor) and image.dtype != torch.uint8:
            check_prepared_images(image)
            if self.preprocessing is not None and not prepared and image.numel() and image.abs().max() > _MOST_PREPARED:
                raise not_normalised(float(image.abs().max()))
            return image
        transform = self._transform
        return transform(self.preprocessing.load(image) if isinstance(image, Path) and self.preprocessing else image)

    def picture(self, prepared: Tensor) -> Tensor:
        """Return pixels (H, W, channels) in [0, 1] of a prepared image (channels, H, W): its normalisation is undone.

        Where the normalisation is not known, the range of the values becomes that from black to white.
        """
        return picture_of(prepared, self.preprocessing)

    @cached_property
    def _seen(self) -> list[bool]:
        return []

    @cached_property
    def _transform(self) -> Callable[[Any], Tensor]:
        return self.known_preprocessing().evaluation_transform()


def _from_checkpoint(path: Path, given: nn.Module | str | None, trust: Iterable[str]) -> TrainedModel:
    checkpoint, options = read_checkpoint(path)
    network = trained_network(checkpoint, options, given, trust)
    if torch.cuda.is_available():
        network.cuda()
    with content_of(path):
        states = checkpoint.get("callbacks") or {}
        epochs = next((state["rows"] for key, state in states.items() if key.startswith("TrainingTrace")), ())
        return _described(
            network,
            options,
            options,
            epochs=epochs,
            path=path,
            steps=checkpoint.get("global_step", 0),
            training_data={"training_data": checkpoint.get("training_data")},
            fitted=Fitted.of(checkpoint),
        )


def _from_module(module: nn.Module) -> TrainedModel:
    options = {name: getattr(module, name, None) for name in ("class_names", "preprocessing", "k")}
    kept: dict[str, Any] = {}
    data = getattr(module, "training_data", None)
    if data is not None and hasattr(data, "put"):
        data.put(kept)
    more = {"fitted": module.fitted} if isinstance(getattr(module, "fitted", None), Fitted) else {}
    return _described(module, options, getattr(module, "hparams", {}), training_data=kept, **more)


def _described(
    network: nn.Module, options: Mapping[str, Any], hyperparameters: Mapping[str, Any], **more: Any
) -> TrainedModel:
    names, preprocessing, k = (options.get(name) for name in ("class_names", "preprocessing", "k"))
    return TrainedModel(
        network,
        None if names is None else check_class_names(names),
        None if preprocessing is None else as_preprocessing(preprocessing),
        tuple(sorted(value for value in (k if isinstance(k, list | tuple) else [k]) if isinstance(value, int))),
        hyperparameters,
        **more,
    )
