"""The loaders of an image data module: batches for training, validation, test and prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, WeightedRandomSampler

from topk_lightning._checks import InvalidValueError, must
from topk_lightning.data._augmentation import Augmentation
from topk_lightning.data._processes import count_of_workers, is_distributed
from topk_lightning.data.exact_sampler import ExactDistributedSampler, equal_batch_size
from topk_lightning.data.preprocessing import Preprocessing
from topk_lightning.data.samples import ImageDataset, Samples

__all__ = ["ImageLoaders"]

# One definition serves pytorch_lightning and lightning.pytorch: it has no Lightning class of its own.
if TYPE_CHECKING:
    from pytorch_lightning import LightningDataModule as _DataModule
else:
    _DataModule = object


class ImageLoaders(_DataModule):
    """Turn the samples of the splits into loaders, as the options of the data module say."""

    batch_size: int
    num_workers: int | None
    augment: Augmentation
    seed: int
    balance: bool
    _draws: int
    _order: torch.Generator | None
    _resumed_order: torch.Tensor | None

    @property
    def class_names(self) -> list[str]:
        """Name of each class, in the order of the class indices; known before `setup`."""
        raise NotImplementedError

    @property
    def preprocessing(self) -> Preprocessing:
        """How images become tensors; known after `setup`."""
        raise NotImplementedError

    def _split(self, split: str) -> Samples:
        raise NotImplementedError

    def _no_images(self, split: str) -> str:
        """Say what to do about a split without images."""
        return ""

    def worker_count(self) -> int:
        """Return how many processes prepare batches: `num_workers`, or what suits the number of images where it is None."""
        return count_of_workers(len(self._split("train").targets)) if self.num_workers is None else self.num_workers

    def evaluation_dataset(self, split: str) -> ImageDataset:
        """Return the pairs (image, class index) of a split in order, as evaluation sees them: not augmented."""
        return self._dataset(split)

    def train_dataloader(self) -> DataLoader[Any]:
        """Return batches (images, target) in random order, augmented.

        With `balance` each class comes equally often. A last batch of one image is left out: batch normalisation cannot train on it.
        """
        transform = self.preprocessing.training_transform(self.augment)
        # The order is the module's own, whatever else drew random numbers, and differs from loader to loader.
        order = torch.Generator().manual_seed(self.seed + self._draws)
        if self._resumed_order is not None:
            order.set_state(self._resumed_order)
            self._resumed_order = None
        self._draws += 1
        self._order = order
        dataset = ImageDataset(self._split("train"), transform, classes=self.class_names)
        # Lightning deals the images to the processes and fills up the shares.
        share = -(-len(dataset) // (torch.distributed.get_world_size() if is_distributed() else 1))
        ends_in_one = share > 1 and share % self.batch_size == 1
        if not self.balance:
            return self._loader(dataset, shuffle=True, generator=order, drop_last=ends_in_one)
        targets = torch.tensor(self._split("train").targets)
        weights = (1 / targets.bincount().double())[targets]
        sampler = WeightedRandomSampler(weights.tolist(), len(dataset), generator=order)
        return self._loader(dataset, sampler=sampler, drop_last=ends_in_one)

    def state_dict(self) -> dict[str, Any]:
        """Return where the order of the training images stands, so that a resumed training goes on with it."""
        return {} if self._order is None else {"order": self._order.get_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next training go on with the order of a checkpoint."""
        self._resumed_order = state_dict.get("order")

    def val_dataloader(self) -> DataLoader[Any]:
        """Return batches (images, target) of the validation split, in order."""
        return self._evaluation_loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """Return batches (images, target) of the test split, in order."""
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return batches of images of the test split, in order, without their targets."""
        return self._evaluation_loader("test", with_target=False)

    def _dataset(self, split: str, with_target: bool = True) -> ImageDataset:
        transform = self.preprocessing.evaluation_transform()
        return ImageDataset(self._split(split), transform, with_target, self.class_names)

    def _evaluation_loader(self, split: str, with_target: bool = True) -> DataLoader[Any]:
        dataset = self._dataset(split, with_target)
        if not len(dataset):
            raise InvalidValueError(must("data", f"hold images of the {split} split", "none", self._no_images(split)))
        if not is_distributed():
            return self._loader(dataset)
        sampler = ExactDistributedSampler(dataset)
        batch_size = equal_batch_size(len(dataset), sampler.num_replicas, self.batch_size)
        return self._loader(dataset, batch_size=batch_size, sampler=sampler)

    def _loader(self, dataset: ImageDataset, **options: Any) -> DataLoader[Any]:
        count = self.worker_count()
        workers = {"num_workers": count, "persistent_workers": count > 0}
        batches = {"batch_size": self.batch_size, "pin_memory": torch.cuda.is_available()}
        return DataLoader(dataset, **{**workers, **batches, **options})
