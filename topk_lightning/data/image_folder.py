"""ImageFolderDataModule: your own images, one folder a class."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_fraction, check_integer
from topk_lightning.data._augmentation import Augmentation
from topk_lightning.data._errors import BadImageWarning, DeeperFoldersWarning, LeftOutWarning, skipped_sentence
from topk_lightning.data._image_table import is_table, read_table
from topk_lightning.data._inspection import Look
from topk_lightning.data._look_cache import LookCache
from topk_lightning.data._processes import first_process
from topk_lightning.data._random_split import complete_splits
from topk_lightning.data._twins import lightning_data_module
from topk_lightning.data.base import ImageDataModuleBase
from topk_lightning.data.folder_layout import class_folders, deeper_folders, labelled_files
from topk_lightning.data.image_files import composed, left_out_sentence
from topk_lightning.data.images import MAX_PIXELS
from topk_lightning.data.samples import FileSamples, Samples

__all__ = ["ImageFolderDataModule"]


@lightning_data_module
class ImageFolderDataModule(ImageDataModuleBase):
    """Load images from folders, one folder a class, or from a table.

    - ``root/<class>/*``: the images of each class are split among training, validation and test, at random from
      `seed`, each class in the same proportions.
    - ``root/{train,val,test}/<class>/*``: the splits are those of the folders, each with the same classes. The folders
      may have the other usual names (training, valid, validation, dev, Testing, …). Without ``val`` it is taken from the
      training images at random; without ``test`` beside ``val`` there is no test.
    - With ``levels=2`` a class lies one folder deeper, as in ``root/genus/species/*``; `fine_to_coarse` says its genus.
    - ``root.csv`` with the columns path, label and, if it says so, split; paths are relative to the table.

    `setup` reads every image once: it finds what cannot be decoded, measures mean and standard deviation of the
    training images exactly, and warns about images that stand in more than one split (compared by their decoded
    pixels). Batches are (images, target): images float (N, 3, S, S), normalised; target int64 (N,).

    Transparent images come on white, grey and CMYK ones as RGB, photos upright as their EXIF says, and of a moving
    image the first frame. Links are followed. Hidden files are passed over; files that are no images by their suffix are
    left out, counted in `left_out`, with a warning; so are folders below the classes that may have been meant as classes.

    Args:
        root: the folder, or the csv table.
        image_size: side S of the images in pixels; None: that of the network's published weights, or 224.
        batch_size: images a batch, for each process.
        num_workers: processes that prepare batches; 0 prepares them in the main process. None: one for 256 training
            images, no more than there are processors and 8 at most, where processes are forked.
        val_fraction: fraction of each class for validation, in (0, 1), where `root` has no validation images.
        test_fraction: fraction of each class for the test, in [0, 1), where `root` has neither validation nor test images.
        test_on_val: test on the validation images where there are no test images.
        augment: "photos" (random cut, mirror, colour), "randaugment", "trivialaugment", "drawings", "none", or a callable
            from a uint8 tensor (3, S, S) to another, such as a torchvision v2 transform.
        balance: draw the images of an epoch at random with replacement so that each class comes equally often, however
            many images it has. Probabilities are then those of a world where all classes are as frequent.
        on_bad_image: "raise", or "skip": leave unreadable images out, list them with the reasons in `unreadable`, and warn once.
        statistics: mean and standard deviation per channel to normalise with, or "imagenet" for a network that was
            pretrained on it; None: those of the network's published weights, or measured.
        resize: "crop" (shorter side to S, then the centre), "stretch", or the length of the shorter side before the centre.
        interpolation: "bilinear" or "bicubic".
        seed: seed of the split and of the order of the training images.
        max_pixels: most pixels of an image, as its file says and once it is resized; a larger one is unreadable.
        levels: how many folders below `root`, or below the folder of a split, a class is: 2 for ``genus/species``. Images
            deeper down belong to the class above them.
        check_images: look at every image before training. False saves that time; `statistics` must be given then, an
            unreadable image is found when it is trained on, and images that stand in two splits are not found.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
        FileNotFoundError: a missing folder.
        ValueError: one class only, an empty class, an unreadable image, or fractions that leave nothing.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> for name, colour in (("blue", 200), ("grey", 90)):
        ...     (root / name).mkdir()
        ...     for shade in range(10):
        ...         Image.new("RGB", (8, 8), (90, 90, colour + shade)).save(root / name / f"{shade}.png")
        >>> data = ImageFolderDataModule(root, image_size=8, batch_size=4)
        >>> data.class_names
        ['blue', 'grey']
        >>> print(data.describe())
        2 classes, 20 images (12 train, 4 val, 4 test) at 8×8 pixels; smallest class: blue (6 to train on)
    """

    def __init__(
        self,
        root: str | Path,
        image_size: int | None = None,
        batch_size: int = 32,
        num_workers: int | None = None,
        *,
        val_fraction: float = 0.15,
        test_fraction: float = 0.15,
        test_on_val: bool = False,
        augment: Augmentation = "photos",
        balance: bool = False,
        on_bad_image: str = "raise",
        statistics: str | Sequence[Sequence[float]] | None = None,
        resize: str | int = "crop",
        interpolation: str = "bilinear",
        seed: int = 0,
        max_pixels: int = MAX_PIXELS,
        check_images: bool = True,
        levels: int = 1,
    ) -> None:
        super().__init__(
            image_size=image_size,
            batch_size=batch_size,
            num_workers=num_workers,
            augment=augment,
            resize=resize,
            interpolation=interpolation,
            statistics=statistics,
            seed=seed,
            on_bad_image=on_bad_image,
            check_images=check_images,
            balance=balance,
        )
        self.root = Path(root)
        self.val_fraction, self.test_fraction = _check_fractions(val_fraction, test_fraction)
        self.test_on_val = test_on_val
        self.max_pixels = check_integer("max_pixels", max_pixels)
        self.levels = check_integer("levels", levels)
        if self.levels > 1 and is_table(self.root):
            raise InvalidValueError(must("levels", "be left out for a table, which names its classes", levels))
        self._paths: dict[str, str] | None = None
        self._deeper: list[str] = []

    @property
    def _path_of(self) -> dict[str, str]:
        """The folder of each class by its name; of a table the names alone."""
        if self._paths is None:
            table = is_table(self.root)
            self._paths = (
                dict.fromkeys(read_table(self.root)[0], "") if table else class_folders(self.root, self.levels)
            )
        return self._paths

    @property
    def class_names(self) -> list[str]:
        """Name of each class folder, sorted; known before `setup`."""
        return list(self._path_of)

    @property
    def coarse_names(self) -> dict[str, list[str]]:
        """Paths of the folders that hold those of the classes, by level from fine to coarse; none where ``levels`` is 1."""
        groups = self._groups().items()
        return {level: sorted(set(of_class), key=composed) for level, of_class in groups}

    @property
    def fine_to_coarse(self) -> dict[str, list[int]]:
        """Group index of each class in `coarse_names`, for each level."""
        names = self.coarse_names
        return {level: [names[level].index(group) for group in of_class] for level, of_class in self._groups().items()}

    def _groups(self) -> dict[str, list[str]]:
        paths = [path.split("/") for path in self._path_of.values()]
        depths = range(self.levels - 1, 0, -1) if all(len(path) == self.levels for path in paths) else ()
        return {f"level {depth}": ["/".join(path[:depth]) for path in paths] for depth in depths}

    def _find_samples(self) -> dict[str, Samples]:
        names = self.class_names
        if is_table(self.root):
            files, folder = read_table(self.root)[1], self.root.parent
        else:
            paths = list(self._path_of.values())
            (files, self.left_out), folder = labelled_files(self.root, paths), self.root
            self._deeper = deeper_folders(files["train"], paths)
        splits = complete_splits(files, names, self.root, self.val_fraction, self.test_fraction, self.seed)
        way = (self.image_size, self.resize, self.interpolation, self.max_pixels, self.statistics is None)
        self._cache = LookCache(folder, repr(way))
        load = partial(self._resizing.load, max_pixels=self.max_pixels)
        return {
            split: FileSamples(folder, tuple(name for name, _ in part), tuple(index for _, index in part), load)
            for split, part in splits.items()
        }

    def _known_looks(self, samples: Samples) -> dict[int, Look]:
        known = {index: self._cache.find(name) for index, name in enumerate(samples.names)}
        return {index: look for index, look in known.items() if look is not None}

    def _keep_looks(self, looks: dict[str, list[Look]]) -> None:
        names = {split: samples.names for split, samples in self._samples.items()}
        self._cache.keep({name: look for split in looks for name, look in zip(names[split], looks[split], strict=True)})

    def _no_images(self, split: str) -> str:
        return "Add a folder of test images, or pass test_on_val=True." if split == "test" else ""

    def _without(self, split: str, samples: Any, unreadable: dict[int, Any]) -> Samples:
        kept = [index for index in range(len(samples.targets)) if index not in unreadable]
        targets = tuple(samples.targets[index] for index in kept)
        for label in sorted({samples.targets[index] for index in unreadable} - set(targets)):
            if split == "train" or not targets:
                requirement = f"hold a readable image of class {self.class_names[label]!r} in {split}"
                raise InvalidValueError(must("root", requirement, "unreadable ones only"))
        self.unreadable |= {samples.names[index]: str(error) for index, error in unreadable.items()}
        kept_samples: Samples = replace(samples, names=tuple(samples.names[index] for index in kept), targets=targets)
        return kept_samples

    def setup(self, stage: str | None = None) -> None:
        """Find the images, read each once, measure the statistics and look for leakage; all stages at once."""
        first = self._preprocessing is None
        super().setup(stage)
        if self.test_on_val and not self._samples["test"].targets:
            self._samples["test"] = self._samples["val"]
        if first and self.skipped and first_process():
            warnings.warn(skipped_sentence(self.skipped), BadImageWarning, stacklevel=2)
        if first and self._deeper and first_process():
            warnings.warn(_deeper_sentence(self._deeper, self.root, self.levels), DeeperFoldersWarning, stacklevel=2)
        if first and self.left_out and first_process():
            warnings.warn(left_out_sentence(self.left_out, self.root), LeftOutWarning, stacklevel=2)


def _check_fractions(val: object, test: object) -> tuple[float, float]:
    """Return the fractions of validation, above 0, and test, together below 1."""
    values = check_fraction("val_fraction", val), check_fraction("test_fraction", test)
    if values[0] == 0:
        raise InvalidValueError(must("val_fraction", "be above 0", values[0]))
    if sum(values) >= 1:
        raise InvalidValueError(must("val_fraction + test_fraction", "be below 1", f"{values[0]} + {values[1]}"))
    return values


def _deeper_sentence(folders: Sequence[str], root: Path, levels: int) -> str:
    more = f" and {len(folders) - 3} more" if len(folders) > 3 else ""
    lie = f"All images of {root} lie in folders below those of the classes ({', '.join(folders[:3])}{more})"
    return f"{lie} and count for the class above. Pass levels={levels + 1} to make each of these folders a class."
