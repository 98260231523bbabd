"""The mean loss and the top-k accuracies of a stage of training, for each of its dataloaders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import nn

from topk_lightning.classifier._class_match import ClassMatch
from topk_lightning.classifier._loaders import sampler_of
from topk_lightning.data import rows_seen_once
from topk_lightning.metrics import MeanLoss, TopKAccuracies

__all__ = ["LoaderMeter", "StageMeters"]


class LoaderMeter(nn.Module):
    """Count the loss and the top-k accuracies of the rows of one dataloader.

    Args:
        k: each k of the accuracies.
        ignore_index: rows with this label are left out of the accuracies.
        name: what follows the metrics' own names where they are logged.
    """

    def __init__(self, k: Sequence[int], ignore_index: int | None, name: str = "") -> None:
        super().__init__()
        self.accuracies = TopKAccuracies(k, ignore_index=ignore_index)
        self.loss = MeanLoss()
        self.name = name
        self.match: ClassMatch | None = None
        self._sampler: Any = None
        self._rows = 0

    def reset(self, loader: Any = None, match: ClassMatch | None = None) -> None:
        """Begin from nothing, with the rows of `loader` and its classes."""
        self.accuracies.reset()
        self.loss.reset()
        self.match = match
        self._sampler, self._rows = sampler_of(loader), 0

    def rows_seen_once(self, rows: int) -> int:
        """Return how many of the next `rows` rows are not repetitions of a distributed sampler."""
        once = rows_seen_once(self._sampler, self._rows, rows)
        self._rows += rows
        return once

    def log(self, module: LightningModule, stage: str) -> None:
        """Hand the metrics to Lightning, once an epoch: it computes them at its end, over all processes, and resets them."""
        if self.loss.update_count > 1:
            return
        metrics = {"loss": self.loss, **dict(self.accuracies.items())}
        for name, metric in metrics.items():
            module.log(
                f"{stage}/{name}{self.name}",
                metric,
                on_step=False,
                on_epoch=True,
                prog_bar=stage != "train" or name == "loss",
                add_dataloader_idx=False,  # the name says which loader
                metric_attribute=f"{stage}_meters",  # Lightning wants one; it only stands in its own messages
            )


class StageMeters(nn.Module):
    """Hold a :class:`LoaderMeter` for each dataloader of one stage.

    One loader logs ``<stage>/loss`` and ``<stage>/top<k>``; several log ``<stage>/top<k>/<name of the loader>``.

    Args:
        k: each k of the accuracies.
        ignore_index: rows with this label are left out of the accuracies.
    """

    def __init__(self, k: Sequence[int], ignore_index: int | None) -> None:
        super().__init__()
        self._options = (k, ignore_index)
        self.loaders = nn.ModuleList([LoaderMeter(k, ignore_index)])

    def begin(
        self, loaders: Mapping[str, Any], matches: Sequence[ClassMatch | None], device: torch.device | None = None
    ) -> None:
        """Begin from nothing, whatever an epoch that broke off has left.

        Args:
            loaders: the dataloaders of the stage by their names.
            matches: which classes of the model those of each loader are.
            device: where the numbers are counted.
        """
        names = [""] if len(loaders) < 2 else [f"/{name}" for name in loaders]
        if [meter.name for meter in self.loaders] != names:
            self.loaders = nn.ModuleList([LoaderMeter(*self._options, name=name) for name in names]).to(device)
        for index, (loader, match) in enumerate(zip(loaders.values(), matches, strict=True)):
            self[index].reset(loader, match)

    def __getitem__(self, dataloader_idx: int) -> LoaderMeter:
        """Return the meter of a dataloader."""
        meter = self.loaders[dataloader_idx]
        assert isinstance(meter, LoaderMeter)  # noqa: S101 (for the type checker)
        return meter
