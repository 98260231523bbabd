"""What TopKClassifier is built from and keeps: network, loss, optimizer, options, checkpoints."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from topk_lightning._checks.class_names import check_class_names
from topk_lightning._checks.options import (
    check_choice,
    check_fraction,
    check_integer,
    check_ks,
    check_number,
    check_positive,
)
from topk_lightning._files import write_file
from topk_lightning._repr import without_widget_hints
from topk_lightning.classifier._checkpoint_file import check_file_of_trainer, content_of, local_file
from topk_lightning.classifier._errors import check_class_count, check_loss, not_restored
from topk_lightning.classifier._fine_tuning import FrozenBackbone
from topk_lightning.classifier._optimization import OPTIMIZERS, OptimizerFactory, build_optimizer, described, scheduled
from topk_lightning.classifier._soft_targets import SoftTargets
from topk_lightning.classifier._steps import MeasuredSteps
from topk_lightning.data import TrainingData
from topk_lightning.epoch_table import in_notebook
from topk_lightning.networks.class_paths import trusted_options
from topk_lightning.networks.compiled import compiled_names, original_module, original_names
from topk_lightning.networks.description import describe_network
from topk_lightning.networks.heads import backbone_parameters
from topk_lightning.networks.pretrained import pretrained_network
from topk_lightning.networks.published import published_class_names, published_preprocessing
from topk_lightning.prediction import Fitted, read_checkpoint

__all__ = ["TopKClassifierBase"]


class TopKClassifierBase(MeasuredSteps):
    """What :class:`TopKClassifier` does, for a LightningModule of either name."""

    def __init__(
        self,
        network: str | dict[str, Any] | nn.Module = "small_cnn",
        num_classes: int | None = None,
        class_names: list[str] | dict[int, str] | dict[str, int] | None = None,
        *,
        loss: nn.Module | Callable[[Tensor, Tensor], Tensor] | dict[str, Any] | None = None,
        k: int | list[int] | tuple[int, ...] | None = None,
        lr: float | None = None,
        optimizer: str | dict[str, Any] | OptimizerFactory = "adamw",
        weight_decay: float | None = None,
        lr_schedule: str = "cosine",
        warmup_steps: int = 0,
        weights: str | None = None,
        freeze_backbone_epochs: int = 0,
        backbone_lr: float | None = None,
        label_smoothing: float = 0.0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        ema: float = 0.0,
        preprocessing: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if num_classes is not None:
            check_integer("num_classes", num_classes, minimum=2)
        if class_names is None and num_classes is None:
            class_names = published_class_names(network, weights)
        names = None if class_names is None else check_class_names(class_names, num_classes)
        self.num_classes = check_class_count(num_classes, names)
        self.class_names = names
        self.k = check_ks([1, *(k for k in (3, 5) if k < self.num_classes)] if k is None else k, self.num_classes)
        self.lr = None if lr is None else check_positive("lr", lr)
        self.backbone_lr = None if backbone_lr is None else check_positive("backbone_lr", backbone_lr)
        self.weight_decay = None if weight_decay is None else check_number("weight_decay", weight_decay)
        self.lr_schedule = check_choice("lr_schedule", lr_schedule, ("cosine", "constant"))
        self.warmup_steps = check_integer("warmup_steps", warmup_steps, minimum=0)
        self.freeze_backbone_epochs = check_integer("freeze_backbone_epochs", freeze_backbone_epochs, minimum=0)
        self.soft_targets = SoftTargets(self.num_classes, label_smoothing=label_smoothing, mixup=mixup, cutmix=cutmix)
        self.ema = check_fraction("ema", ema)
        self.preprocessing = preprocessing

        core = original_module(network) if isinstance(network, nn.Module) else network
        named, core = core, pretrained_network(core, self.num_classes, weights)
        self.published_preprocessing = published_preprocessing(named, weights)
        self.network = network if isinstance(network, nn.Module) else core
        self.loss, loss_description = described("loss", nn.CrossEntropyLoss() if loss is None else loss)
        if self.loss is not None:
            check_loss(self.loss)
        if isinstance(optimizer, str) and "." in optimizer:
            optimizer = {"class_path": optimizer}
        if isinstance(optimizer, str):
            self.optimizer: Any = check_choice("optimizer", optimizer, OPTIMIZERS)
            optimizer_description: Any = optimizer
        else:
            self.optimizer, optimizer_description = described("optimizer", optimizer)
        if freeze_backbone_epochs or backbone_lr is not None:
            backbone_parameters(self.network, self.num_classes)  # says now if there is no head
        self._frozen_backbone = FrozenBackbone()
        self.prepare_meters()

        # Plain data only, so that a checkpoint loads with weights_only=True and prediction needs nothing else.
        self.save_hyperparameters(
            {
                "network": describe_network(core, self.num_classes, given=network),
                "num_classes": self.num_classes,
                "class_names": self.class_names,
                "loss": loss_description,
                "k": list(self.k),
                "lr": self.lr,
                "optimizer": optimizer_description,
                "weight_decay": self.weight_decay,
                "lr_schedule": self.lr_schedule,
                "warmup_steps": self.warmup_steps,
                "weights": None,  # the checkpoint has its own
                "freeze_backbone_epochs": self.freeze_backbone_epochs,
                "backbone_lr": self.backbone_lr,
                "label_smoothing": label_smoothing,
                "mixup": mixup,
                "cutmix": cutmix,
                "ema": ema,
                "preprocessing": self.preprocessing,
            }
        )

    def setup(self, stage: str) -> None:
        """Release the backbone, and begin as :class:`MeasuredSteps` does."""
        self._frozen_backbone.release()
        if in_notebook():
            without_widget_hints()
        super().setup(stage)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Freeze or release the backbone; asked at each batch, since training may resume within an epoch."""
        super().on_train_batch_start(batch, batch_idx)
        if self.freeze_backbone_epochs:
            if self.current_epoch >= self.freeze_backbone_epochs:
                self._frozen_backbone.release()
            else:
                # Processes that share gradients agreed at the start on who has one: there, it is dropped instead.
                self._frozen_backbone.hold(self.network, self.num_classes, keep_grad=self.trainer.world_size > 1)

    def on_train_end(self) -> None:
        """Release the backbone: freezing belongs to the training."""
        self._frozen_backbone.release()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave the frozen backbone out of the step and of gradient clipping."""
        self._frozen_backbone.drop_gradients()

    def configure_optimizers(self) -> Any:
        """Return the optimizer, with a learning rate that changes at each of its steps."""
        if self.optimizer is None:
            raise not_restored("optimizer", self.hparams["optimizer"]["unnamed"])
        backbone = backbone_parameters(self.network, self.num_classes) if self.backbone_lr is not None else []
        of_backbone = set(backbone)
        optimizer = build_optimizer(
            self.optimizer,
            head=[parameter for parameter in self.parameters() if parameter not in of_backbone],
            backbone=backbone,
            lr=self.lr,
            backbone_lr=self.backbone_lr,
            weight_decay=self.weight_decay,
        )
        total = (lambda: self.trainer.estimated_stepping_batches) if self.lr_schedule == "cosine" else None
        return scheduled(optimizer, warmup_steps=self.warmup_steps, total_steps=total)

    def save(self, path: str | Path) -> Path:
        """Write a checkpoint as a trainer does, of a network that needs no training here; in one move.

        It is read by ``load_from_checkpoint``, prediction, report and serving; there is no state of training in it.

        Args:
            path: the file; its folder is made.

        Returns:
            The path of the file.

        Examples:
            >>> import tempfile
            >>> from topk_lightning import TopKClassifier
            >>> path = TopKClassifier(class_names=["ant", "bee"]).save(tempfile.mkdtemp() + "/model.ckpt")
            >>> TopKClassifier.load_from_checkpoint(path).class_names
            ['ant', 'bee']
        """
        checkpoint: dict[str, Any] = {
            "epoch": 0,
            "global_step": 0,
            "pytorch-lightning_version": version("pytorch-lightning"),  # which Lightning looks for
            "state_dict": self.state_dict(),
            "hyper_parameters": dict(self.hparams),
        }
        self.on_save_checkpoint(checkpoint)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()  # torch's own writer does not say that a disk is full
        torch.save(checkpoint, content)
        write_file(path, content.getbuffer())
        return path

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, trust: Iterable[str] = (), **kwargs: Any) -> Any:
        """Return the classifier of a checkpoint, read with ``weights_only=True`` and its checksums.

        Network, loss and optimizer are built from classes of topk_lightning, torch, torchvision and timm, without another
        file or a connection.

        Args:
            checkpoint_path: the file, its address, or the file opened for reading.
            args: as Lightning takes them.
            trust: packages of others that the checkpoint may name; importing them runs their code.
            kwargs: as Lightning takes them, and arguments of the constructor that go before those of the checkpoint.

        Raises:
            ValueError: a damaged file, one of something else, or a class path of a package that is not trusted.
        """
        with local_file(checkpoint_path) as path:
            _, options = read_checkpoint(path)
            own = kwargs.keys() - {"map_location", "hparams_file", "strict", "weights_only"}
            built = [argument for argument in ("network", "loss", "optimizer") if argument not in kwargs]
            safe = trusted_options(options, trust, built)
            kwargs = {**{argument: safe[argument] for argument in built if argument in safe}, **kwargs}
            # Lightning before 2.6.6 would import and call what a checkpoint names there.
            kwargs["_instantiator"] = None
            with content_of(checkpoint_path, own):
                return super().load_from_checkpoint(path, *args, **{"weights_only": True, **kwargs})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save weights under the names that they have where nothing is compiled, and what is known of the data."""
        checkpoint["state_dict"] = original_names(checkpoint["state_dict"])
        self.training_data.put(checkpoint)
        self.fitted.put(checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Find the weights whether compiled or not, and leave out those of a loss that could not be rebuilt.

        Raises:
            ValueError: a file that ``Trainer(...).fit``, ``validate``, ``test`` or ``predict`` was given and that is damaged.
        """
        check_file_of_trainer(self)
        state = compiled_names(checkpoint["state_dict"], self)
        if self.loss is None:
            state = {name: value for name, value in state.items() if not name.startswith("loss.")}
        checkpoint["state_dict"] = state
        self.training_data, self.fitted = TrainingData.of(checkpoint), Fitted.of(checkpoint)
