"""What every image data module shares: samples, statistics, transforms, leakage check, description."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_choice, check_integer
from topk_lightning._repr import described, html_text
from topk_lightning.data._augmentation import Augmentation, check_augment
from topk_lightning.data._errors import SPLITS, ImageSizeWarning, LeakageWarning, UnreadableImageError
from topk_lightning.data._inspection import Look, look_at_all, statistics_of
from topk_lightning.data._loaders import ImageLoaders
from topk_lightning.data._processes import first_process
from topk_lightning.data._torchvision import import_torchvision
from topk_lightning.data.digests import duplicates_across_splits, leakage_sentence, pixel_digest
from topk_lightning.data.preprocessing import Preprocessing, check_resize, check_statistics
from topk_lightning.data.samples import Samples
from topk_lightning.data.summary import DataSummary, summary_html

__all__ = ["ImageDataModuleBase"]

_USUAL_SIZE = 224  # pixels, what most networks are published for


class ImageDataModuleBase(ImageLoaders):
    """Turn the samples of three splits into loaders; a subclass says what the samples and the classes are."""

    def __init__(
        self,
        *,
        image_size: int | None,
        batch_size: int,
        num_workers: int | None,
        augment: Augmentation,
        resize: str | int,
        interpolation: str,
        statistics: str | Sequence[Sequence[float]] | None,
        seed: int,
        on_bad_image: str = "raise",
        check_images: bool = True,
        balance: bool = False,
    ) -> None:
        super().__init__()
        import_torchvision(type(self).__name__)
        self._size_is_given = image_size is not None
        self.image_size = check_integer("image_size", _USUAL_SIZE if image_size is None else image_size)
        self.batch_size = check_integer("batch_size", batch_size)
        self.num_workers = None if num_workers is None else check_integer("num_workers", num_workers, minimum=0)
        check_augment(augment)
        self.augment = augment
        self.balance = balance
        self.resize = check_resize(resize, self.image_size)
        self.interpolation = check_choice("interpolation", interpolation, ("bilinear", "bicubic"))
        self.statistics = None if statistics is None else check_statistics(statistics)
        self.seed = check_integer("seed", seed, minimum=0)
        self.on_bad_image = check_choice("on_bad_image", on_bad_image, ("raise", "skip"))
        if not check_images and statistics is None:
            remedy = 'Pass statistics="imagenet", or a mean and a deviation.'
            raise InvalidValueError(must("statistics", "be given where check_images=False", None, remedy))
        self.check_images = check_images
        self.duplicates: list[tuple[str, ...]] = []
        #: Why an image that was left out could not be read, by its name.
        self.unreadable: dict[str, str] = {}
        self.left_out: dict[str, int] = {}
        #: Called with how many of how many images were looked at; the last call has them equal, also after an error.
        self.on_look: Callable[[int, int], None] | None = None
        self._samples: dict[str, Samples] = {}
        self._digests: dict[str, Tensor] = {}
        self._preprocessing: Preprocessing | None = None
        self._draws = 0
        self._order: torch.Generator | None = None
        self._resumed_order: torch.Tensor | None = None

    # What a subclass says.

    #: Whether images are still as large as they came when they are resized for the network.
    _cuts_from_larger = True

    def _find_samples(self) -> dict[str, Samples]:
        raise NotImplementedError

    def _without(self, split: str, samples: Samples, unreadable: dict[int, UnreadableImageError]) -> Samples:
        """Return the samples of a split without the unreadable ones, by their index."""
        raise NotImplementedError

    def _known_looks(self, samples: Samples) -> dict[int, Look]:
        """Return what an earlier run saw of images that have not changed since, by their index."""
        return {}

    def _keep_looks(self, looks: dict[str, list[Look]]) -> None:
        """Keep what was seen of the images of each split for a later run."""

    # What follows from it.

    @property
    def num_classes(self) -> int:
        """Number of classes C; known before `setup`."""
        return len(self.class_names)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Index of each class by its name."""
        return {name: index for index, name in enumerate(self.class_names)}

    @property
    def preprocessing(self) -> Preprocessing:
        """How images become tensors; known after `setup`."""
        if self._preprocessing is None:
            # An AttributeError, so that getattr and hasattr work.
            actual = "a data module that is not set up"
            raise AttributeError(must("preprocessing", "be read after setup", actual, "Call setup() first."))
        return self._preprocessing

    @property
    def _resizing(self) -> Preprocessing:
        # Statistics play no part in resizing, which is all that is needed before they are known.
        return Preprocessing(self.image_size, (0.0,) * 3, (1.0,) * 3, self.resize, self.interpolation)

    def setup(self, stage: str | None = None) -> None:
        """Find the samples, read each image once, measure the statistics and look for leakage; all stages at once."""
        if self._preprocessing is not None:
            return
        self.unreadable = {}
        self._samples = self._find_samples()
        looks = self._looks() if self.check_images else {}
        digests = {split: [look.digest for look in of_split] for split, of_split in looks.items()}
        named = {split: zip(self._samples[split].names, digests[split], strict=True) for split in digests}
        self.duplicates = duplicates_across_splits({split: dict(pairs) for split, pairs in named.items()})
        if self.duplicates and first_process():
            warnings.warn(leakage_sentence(self.duplicates), LeakageWarning, stacklevel=2)
        statistics = self.statistics or statistics_of(looks["train"])
        self._digests = {split: torch.tensor(of_split, dtype=torch.int64) for split, of_split in digests.items()}
        self._preprocessing = replace(self._resizing, mean=statistics[0], std=statistics[1])

    @property
    def skipped(self) -> list[str]:
        """Names of the unreadable images that were left out."""
        return list(self.unreadable)

    def prepare_for(self, published: Mapping[str, Any]) -> None:
        """Prepare images as published weights were trained, unless `statistics` say another way.

        Args:
            published: what :meth:`topk_lightning.Preprocessing.to_dict` returns. Its mean, deviation and interpolation are
                taken, its size where none was given, and how it resizes where its size is that of this module; another
                size is warned of.
        """
        if self.statistics is not None:
            return
        wanted = Preprocessing.from_dict(published)
        self.statistics, self.interpolation = (wanted.mean, wanted.std), wanted.interpolation
        if wanted.image_size != self.image_size and not self._size_is_given:
            self.image_size, self._preprocessing = wanted.image_size, None  # looked at again, at that size
        if wanted.image_size != self.image_size:
            sizes = f"{wanted.image_size}×{wanted.image_size} pixels, and get {self.image_size}×{self.image_size}"
            warnings.warn(f"The weights were trained on images of {sizes}.", ImageSizeWarning, stacklevel=2)
        elif self.resize == "crop" and self._cuts_from_larger:
            self.resize = wanted.resize
        if self._preprocessing is not None:
            self._preprocessing = replace(self._resizing, mean=wanted.mean, std=wanted.std)

    def _looks(self) -> dict[str, list[Look]]:
        """Look at every image once, and leave unreadable ones out or raise; return what was seen of each split."""
        seen = {split: self._known_looks(samples) for split, samples in self._samples.items()}
        known = sum(map(len, seen.values()))
        resize = self._resizing.resize_only() if self.statistics is None else None
        skip = self.on_bad_image == "skip"
        bad = look_at_all(self._samples, seen, resize, skip, self.on_look or (lambda *_: None))
        for split, of_split in bad.items():
            if of_split:
                self._samples[split] = self._without(split, self._samples[split], of_split)
        looks = {split: [of_split[index] for index in sorted(of_split)] for split, of_split in seen.items()}
        if sum(map(len, seen.values())) > known:
            self._keep_looks(looks)
        return looks

    def __repr__(self) -> str:
        return described(self)

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        if self._preprocessing is None:
            return html_text(f"{self!r}, not set up")
        return html_text(repr(self)) + summary_html(self)

    def describe(self) -> DataSummary:
        """Return how many classes and images there are; sets the module up if need be."""
        self.setup()
        targets = {split: list(self._samples[split].targets) for split in SPLITS}
        return DataSummary.of(
            self.class_names, targets, self.image_size, len(self.duplicates), len(self.skipped), self.left_out
        )

    def sample_names(self, split: str) -> list[str]:
        """Return the name of each sample of "train", "val" or "test", in the order of the evaluation loaders."""
        return list(self._split(split).names)

    def targets(self, split: str) -> list[int]:
        """Return the class index of each sample of a split, in the same order."""
        return list(self._split(split).targets)

    def digests(self, split: str) -> Tensor:
        """Return a 64-bit digest of the pixels of each image of a split, in the same order: int64 (N,)."""
        samples = self._split(split)
        if split not in self._digests:
            of_images = [pixel_digest(samples.image(index)) for index in range(len(samples.targets))]
            self._digests[split] = torch.tensor(of_images, dtype=torch.int64)
        return self._digests[split]

    def class_counts(self, split: str = "train") -> list[int]:
        """Return how many images each class has in a split, in the order of the class indices."""
        counts = Counter(self.targets(split))
        return [counts[index] for index in range(self.num_classes)]

    def pictures(self, split: str, indices: Sequence[int] | None = None) -> list[Image.Image]:
        """Return images of a split as they came, RGB, before any preprocessing; None: all of them."""
        samples = self._split(split)
        return [samples.picture(index) for index in (range(len(samples.targets)) if indices is None else indices)]

    def _split(self, split: str) -> Samples:
        check_choice("split", split, SPLITS)
        self.setup()
        return self._samples[split]
