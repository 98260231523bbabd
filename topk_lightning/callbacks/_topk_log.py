"""Top-k accuracies that a callback counts and logs for a module that knows nothing of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytorch_lightning import LightningModule
from torch import Tensor

from topk_lightning.metrics import TopKAccuracies

__all__ = ["TopKLog", "loader_at", "sampler_of"]


class TopKLog:
    """Count top-k accuracies for each stage and each dataloader, and log them through the module.

    They are logged as objects: Lightning resets them each epoch, and torchmetrics sums hits and rows over processes
    before it divides.

    Args:
        name: pattern of the logged names, with {stage} and {k}.
        options: of :class:`topk_lightning.TopKAccuracies`.
    """

    def __init__(self, name: str, **options: Any) -> None:
        self.name = name
        self.options = options
        self._metrics: dict[tuple[str, int], TopKAccuracies] = {}

    def reset(self) -> None:
        """Forget everything: a training that broke off may have left counts behind."""
        self._metrics = {}

    def update(
        self,
        module: LightningModule,
        stage: str,
        dataloader_idx: int,
        k: Sequence[int] | None,
        logits: Tensor,
        target: Tensor,
    ) -> None:
        """Count a batch; called from a hook in which the module may log. Without k it is 1 and min(5, C)."""
        if k is None:
            k = sorted({1, min(5, logits.shape[self.options.get("class_dim", 1)])})
        metrics = self._metrics.get((stage, dataloader_idx))
        if metrics is None:
            metrics = self._metrics[stage, dataloader_idx] = TopKAccuracies(k, **self.options)
            metrics.to(module.device)
        metrics.update(logits.detach(), target)
        # Lightning keeps the object until it resets it at the end of the epoch, and logging costs more than counting.
        for value in k if metrics[f"top{k[0]}"].update_count == 1 else ():
            module.log(
                self.name.format(stage=stage, k=value),
                metrics[f"top{value}"],
                on_step=False,
                on_epoch=True,
                prog_bar=stage != "train",
                batch_size=len(logits),
                metric_attribute=type(self).__name__,  # Lightning asks for one; it only matters for its own messages
            )


def loader_at(loaders: Any, index: int) -> Any:
    """Return the dataloader of an index; trainers keep one loader, a list or a dict of them."""
    if isinstance(loaders, Mapping):
        loaders = list(loaders.values())
    return loaders[index] if isinstance(loaders, list | tuple) and index < len(loaders) else loaders


def sampler_of(loader: Any) -> Any:
    """Return what draws the indices of a dataloader, also where the trainer has wrapped it for prediction."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    return getattr(batch_sampler, "sampler", getattr(loader, "sampler", None))
