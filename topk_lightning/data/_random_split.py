"""A random split of labelled files that repeats on every machine."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from topk_lightning._checks import InvalidValueError, must
from topk_lightning.data.folder_layout import Labelled
from topk_lightning.data.image_files import composed

__all__ = ["complete_splits"]


def complete_splits(
    files: Mapping[str, Labelled],
    classes: Sequence[str],
    root: Path,
    val_fraction: float,
    test_fraction: float,
    seed: int,
) -> dict[str, Labelled]:
    """Return files of training, validation and test; what the data does not bring is taken from its training files.

    A test is taken only where there is neither validation nor test: a data set that was split by hand without a test
    has none.
    """
    test_fraction = 0.0 if "val" in files or "test" in files else test_fraction
    val_fraction = 0.0 if "val" in files else val_fraction
    parts: dict[str, Labelled] = {"train": [], "val": [], "test": [], **files}
    if val_fraction or test_fraction:
        taken = _taken(files["train"], classes, {"test": test_fraction, "val": val_fraction}, seed)
        parts["train"] = taken["train"]
        for split, fraction in (("val", val_fraction), ("test", test_fraction)):
            if fraction:
                parts[split] = taken[split]
                if not taken[split]:
                    requirement = f"hold enough images to split ({root})"
                    remedy = "A class needs three images to have one in each split."
                    raise InvalidValueError(must("root", requirement, f"none for {split}", remedy))
    return parts


def _taken(files: Labelled, classes: Sequence[str], fractions: Mapping[str, float], seed: int) -> dict[str, Labelled]:
    """Split the files of each class at random.

    Each class is shuffled by itself, from `seed` and its name: the same files fall into the same splits on every
    machine, and a class that is added or removed moves no file of another. A class of three images or more has at
    least one in each split; at least one always stays to train on.
    """
    of_class: list[list[str]] = [[] for _ in classes]
    for name, index in files:
        of_class[index].append(name)
    parts: dict[str, Labelled] = {"train": [], **{split: [] for split in fractions}}
    for index, (label, names) in enumerate(zip(classes, of_class, strict=True)):
        count = len(names)
        names.sort(key=composed)
        # By the bytes of the name, also of one that is no text where the locale knows no UTF-8.
        random.Random(f"{seed}/{composed(label)}".encode(errors="surrogateescape")).shuffle(names)
        left = count - 1
        for split, fraction in fractions.items():
            share = max(0, min(max(1, round(count * fraction)), left)) if fraction else 0
            left -= share
            parts[split] += [(name, index) for name in sorted(names[:share], key=composed)]
            names = names[share:]
        parts["train"] += [(name, index) for name in sorted(names, key=composed)]
    return parts
