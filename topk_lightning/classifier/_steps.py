"""The steps of TopKClassifier: each batch counted once, each epoch from nothing, for each dataloader by itself."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from topk_lightning._checks import UserError
from topk_lightning._checks.class_names import check_class_names
from topk_lightning.classifier._batch_norm import running_statistics_for_single_values
from topk_lightning.classifier._batches import images_and_target, images_of
from topk_lightning.classifier._class_match import ClassMatch, match_classes
from topk_lightning.classifier._errors import (
    channels_last,
    check_data_module,
    check_images_fit,
    check_scalar_loss,
    lightning_package,
    not_restored,
    resumed_within_epoch,
)
from topk_lightning.classifier._loaders import name_loaders
from topk_lightning.classifier._soft_targets import SoftTargets
from topk_lightning.classifier._stage_meters import StageMeters
from topk_lightning.data import TrainingData, find_class_names
from topk_lightning.losses.logit_adjustment import fill_class_counts
from topk_lightning.metrics import loss_option, mean_divisor
from topk_lightning.networks.compiled import original_module
from topk_lightning.networks.misfit import misfit
from topk_lightning.networks.outputs import are_probabilities, check_logits, warn_of_probabilities
from topk_lightning.prediction import Decider, Fitted, topk_predictions

__all__ = ["MeasuredSteps"]

# One definition serves pytorch_lightning and lightning.pytorch: the base has no Lightning class of its own.
if TYPE_CHECKING:
    _Module = LightningModule
else:
    _Module = object

_STAGES = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32)


class MeasuredSteps(_Module):
    """Train, validate, test and predict with a network and a loss, and measure both."""

    network: nn.Module
    loss: Any
    k: tuple[int, ...]
    num_classes: int
    class_names: list[str] | None
    preprocessing: dict[str, Any] | None
    #: How images of the published weights were prepared; None where there are none.
    published_preprocessing: dict[str, Any] | None
    soft_targets: SoftTargets
    ema: float
    training_data: TrainingData
    fitted: Fitted = Fitted()
    #: What predict_step answers, where a writer asks for more than the k best.
    shown: Decider | None = None

    def prepare_meters(self) -> None:
        """Build the metrics of each stage; what the loss leaves out, they leave out."""
        ignored = loss_option(self.loss, "ignore_index")
        self.train_meters = StageMeters(self.k, ignored)
        self.val_meters = StageMeters(self.k, ignored)
        self.test_meters = StageMeters(self.k, ignored)
        self.training_data = TrainingData()
        self._remarks: set[str] = set()
        self._stages_looked_at: set[str] = set()
        self._has_begun = self._told_of_probabilities = False

    def configure_callbacks(self) -> Any:
        """Add the averaging of weights; first of all hooks, say what is wrong with the data before it is looked at."""
        check_data_module(self, self.trainer)
        data: Any = getattr(self.trainer, "datamodule", None)
        if self.published_preprocessing is not None and hasattr(data, "prepare_for"):
            data.prepare_for(self.published_preprocessing)
        check_images_fit(self, data, self.trainer)
        if not self.ema:
            return super().configure_callbacks()
        callbacks = importlib.import_module(f"{lightning_package(self)}.callbacks")
        return [callbacks.EMAWeightAveraging(decay=self.ema)]

    def setup(self, stage: str) -> None:
        """Begin from nothing, and take class names and preprocessing from the data, so that the checkpoint keeps them."""
        for name in _STAGES.get(stage, ()):
            self._meters(name).begin({"": None}, [None], self.device)
        self._stages_looked_at.clear()
        datamodule = getattr(self.trainer, "datamodule", None)
        names = getattr(datamodule, "class_names", None)
        match = None
        if names is not None and (self.class_names is None or stage != "predict"):
            match = self._match(check_class_names(names))
        preprocessing = getattr(datamodule, "preprocessing", None)
        if preprocessing is not None and (stage == "fit" or self.preprocessing is None):
            self.preprocessing = preprocessing.to_dict()
        if stage == "fit":
            class_counts = getattr(datamodule, "class_counts", None)
            counts = [int(count) for count in class_counts()] if callable(class_counts) else None
            if counts is not None:
                counts = counts if match is None else match.counts(counts)
                fill_class_counts(self.loss, counts)
            self.training_data = replace(self.training_data, class_counts=counts)
        self._keep_what_the_data_said()

    def on_train_start(self) -> None:
        """Begin from nothing, and take down which data this is."""
        self._begin("train", {"": self.trainer.train_dataloader})
        self.training_data = self.training_data.after_training_on(getattr(self.trainer, "datamodule", None))
        self._has_begun, self.fitted = False, Fitted()  # the weights will be others

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Say so where training goes on within an epoch."""
        if not self._has_begun and batch_idx:
            keeps_state = callable(getattr(self.trainer.train_dataloader, "load_state_dict", None))
            number = self.trainer.num_training_batches
            self._say(resumed_within_epoch(self.current_epoch, batch_idx, number, keeps_state))
        self._has_begun = True

    def on_validation_epoch_start(self) -> None:
        """Begin from nothing, with a set of metrics for each dataloader."""
        self._begin("val", name_loaders(self.trainer.val_dataloaders))

    def on_test_epoch_start(self) -> None:
        """Begin from nothing, with a set of metrics for each dataloader."""
        self._begin("test", name_loaders(self.trainer.test_dataloaders))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a batch of (images, target)."""
        return self._step(batch, "train")

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Measure the loss and the top-k accuracies of a batch."""
        self._step(batch, "val", dataloader_idx)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Measure the loss and the top-k accuracies of a batch."""
        self._step(batch, "test", dataloader_idx)

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> list[Any]:
        """Return the k best classes of each image of a batch, for the largest k; what a writer asks for, where one does."""
        images = images_of(batch)
        logits = check_logits(self(images), len(images), self.num_classes)
        self._look_at_first(logits, "predict")
        if self.shown is not None:
            return self.shown(logits)
        return list(topk_predictions(logits, self.class_names, max(self.k), input="logits"))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, C) of a batch of images."""
        try:
            output = self.network(images)
        except UserError:
            raise
        except Exception as error:  # of any network whatever
            said: ValueError | None = channels_last(images)
            if said is None and not torch.compiler.is_compiling():
                said = misfit(original_module(self.network), images)
            if said is not None:
                raise said from error
            raise
        logits: Tensor = getattr(output, "logits", output)  # as networks of Hugging Face return them
        return logits

    def _step(self, batch: Any, stage: str, dataloader_idx: int = 0) -> Tensor:
        images, target = images_and_target(batch)
        if self.loss is None:
            raise not_restored("loss", self.hparams["loss"]["unnamed"])
        meter = self._meters(stage)[dataloader_idx]
        if isinstance(target, Tensor):
            target = target.long() if target.dtype in _INTEGERS else target  # cross entropy takes int64 only
            target = target if meter.match is None else meter.match(target)
        if stage == "train":
            images, target = self.soft_targets(images, target, loss_option(self.loss, "ignore_index"))
        logits = check_logits(self._logits(images, stage), len(images), self.num_classes)
        self._look_at_first(logits, stage)
        if stage != "train":
            once = meter.rows_seen_once(len(images))
            logits, target = logits[:once], target[:once]
        # Before the loss, whose own words about a wrong target say less than the metrics' do.
        meter.accuracies.update(logits.detach(), target)
        # A process whose rows are all repetitions still takes part in the mean over all processes, with weight 0.
        loss = check_scalar_loss(self.loss(logits, target), logits) if len(logits) else logits.sum()
        divisor = mean_divisor(self.loss, logits, target)
        meter.loss.update(loss / divisor if loss_option(self.loss, "reduction") == "sum" else loss, divisor)
        meter.log(self, stage)
        return loss

    def _logits(self, images: Any, stage: str) -> Any:
        if stage == "train" and len(images) == 1:
            with running_statistics_for_single_values(original_module(self.network)):
                return self(images)
        return self(images)

    def _look_at_first(self, logits: Tensor, stage: str) -> None:
        """Warn, once, of a network whose outputs in the first batch of a stage are probabilities."""
        if stage not in self._stages_looked_at:
            self._stages_looked_at.add(stage)
            if are_probabilities(logits.detach().cpu()) and not self._told_of_probabilities:
                self._told_of_probabilities = True
                if self._trainer is None or self.trainer.is_global_zero:
                    warn_of_probabilities(logits.detach().cpu())

    def _say(self, remark: str) -> None:
        """Warn once, from one process."""
        if remark not in self._remarks and self.trainer.is_global_zero:
            warnings.warn(remark, stacklevel=2)
        self._remarks.add(remark)

    def _begin(self, stage: str, loaders: Mapping[str, Any]) -> None:
        matches = [self._match_loader(loader) for loader in loaders.values()]
        self._meters(stage).begin(loaders, matches, self.device)
        self._keep_what_the_data_said()

    def _meters(self, stage: str) -> StageMeters:
        return {"train": self.train_meters, "val": self.val_meters, "test": self.test_meters}[stage]

    def _match_loader(self, loader: Any) -> ClassMatch | None:
        """Return which classes of the model those of a loader are; None where the data does not name them."""
        names = find_class_names(loader)
        if names is None:
            names = getattr(getattr(self.trainer, "datamodule", None), "class_names", None)
        return None if names is None else self._match(check_class_names(names))

    def _match(self, names: list[str]) -> ClassMatch:
        known = [self.class_names, self.training_data.class_names]
        # Names for people ("Ant") and those of the training's folders ("n02219486") both say which class is meant.
        model = max(known, key=lambda of_model: len(set(of_model or ()) & set(names)))
        match = match_classes(model, names, self.num_classes)
        self.class_names = self.class_names or names
        if self.trainer.state.fn == "fit" and not match.by_name:
            self.training_data = replace(
                self.training_data, class_names=names
            )  # what its folders are called is the training's to say
        elif match.remark:
            self._say(match.remark)
        return match

    def _keep_what_the_data_said(self) -> None:
        self.hparams.update(class_names=self.class_names, preprocessing=self.preprocessing)
