"""Scores read from files, by the ending of the name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from topk_lightning._checks import InvalidValueError, MissingFileError, must, shown
from topk_lightning._checks.class_names import check_class_names
from topk_lightning.scores._lists import given_list
from topk_lightning.scores._npz import read_npy, read_npz
from topk_lightning.scores._scores import Scores
from topk_lightning.scores._table import read_csv, read_parquet

__all__ = ["SUFFIXES", "read_scores"]

#: What the name of a file of scores may end in.
SUFFIXES = (".npz", ".npy", ".parquet", ".csv")


def read_scores(
    path: str | Path,
    *,
    kind: str | None = None,
    target: Any = None,
    class_names: Any = None,
    ids: Any = None,
    sample_weight: Any = None,
) -> Scores:
    """Return the scores of a file; arrays of numpy stay on the disk, memory-mapped, until they are asked for.

    - ``.npz``: arrays "logits" or "probabilities" (N, C), and "target", "class_names", "ids", "sample_weight";
    - ``.npy``: the values (N, C) alone; `kind` has to be said, the rest may be given;
    - ``.parquet``: a row an image: a list "logits" or "probabilities", "target", "id", "sample_weight";
    - ``.csv`` or ``.parquet``: the k best classes: a row for each with image, rank, class, probability or logit, and
      target.

    Args:
        path: the file.
        kind: "logits" or "probabilities", where the file does not say; if it does, they must agree.
        target: class indices or names (digits are names where all of them are), or a file of them (.npy, .txt with a line each, .json; .csv with the columns
            image and class); None: those of the file.
        class_names: a list, {index: name}, {name: index} or a file of one (.txt, .json); None: those of the file.
        ids: what the images are called, or a file (.txt, .json); None: those of the file.
        sample_weight: weight of each image, or a file (.npy, .txt, .json).

    Raises:
        FileNotFoundError: a file that is not there.
        ModuleNotFoundError: parquet without pyarrow.
        ValueError: another or a damaged file, a kind that is not said, and all that :class:`Scores` refuses.

    Examples:
        >>> import numpy, tempfile
        >>> path = tempfile.mkdtemp() + "/scores.npz"
        >>> numpy.savez(
        ...     path,
        ...     logits=numpy.eye(3, dtype="float32"),
        ...     target=[0, 1, 1],
        ...     class_names=["ant", "bee", "cat"],
        ... )
        >>> read_scores(path)
        Scores(3 × 3 logits in torch.float32, with target)
    """
    where = Path(path)
    if not where.is_file():
        raise MissingFileError(must("scores", "be an existing file", repr(str(path))))
    suffix = where.suffix.lower()
    if suffix not in SUFFIXES:
        raise InvalidValueError(must("scores", f"be a file that ends in {', '.join(SUFFIXES)}", repr(str(path))))
    if suffix == ".npy":
        content: dict[str, Any] = {"values": read_npy(where)}
    else:
        content = {".npz": read_npz, ".parquet": read_parquet, ".csv": read_csv}[suffix](where)
    said = content.pop("kind", None)
    if said is None and kind is None:
        wanted = 'be said to be "logits" or "probabilities"'
        raise InvalidValueError(must("kind", wanted, "neither", "A file of values alone does not tell."))
    if kind is not None and said not in (None, kind):
        raise InvalidValueError(must("kind", f"be {said!r} as the file says", repr(kind)))
    for name, given in (
        ("class_names", class_names),
        ("ids", ids),
        ("target", target),
        ("sample_weight", sample_weight),
    ):
        if given is not None:
            content[name] = given_list(given, name, content.get("ids"))
    return _made(content, kind or said)


def _made(content: dict[str, Any], kind: Any) -> Scores:
    best, names = content.pop("best", None), content.pop("class_names", None)
    target = content.pop("target", None)
    if names is not None:
        names = check_class_names(names)
    if best is None:
        return Scores(target=_indices(target, names, "target"), class_names=names, kind=kind, **content)
    if isinstance(best, list):
        texts = [*(name for row in best for name in row), *(target or () if _are_texts(target) else ())]
        if names is None:  # those that occur
            names = sorted(set(texts), key=lambda name: (len(name), name) if name.isdigit() else (0, name))
        best = [_indices(row, names, "best") for row in best]
    return Scores.of_topk(best, target=_indices(target, names, "target"), class_names=names, kind=kind, **content)


def _indices(labels: Any, names: Sequence[str] | None, name: str) -> Any:
    """Return class indices of names, or of digits that are no names; what is no list of texts as it is."""
    if not _are_texts(labels):
        return labels
    labels = [str(label) for label in labels]
    if not set(labels) <= set(names or ()) and all(label.isdecimal() for label in labels):
        return [int(label) for label in labels]
    if names is None:
        raise InvalidValueError(must("class_names", f"be given to read the names in {name}", "none"))
    index = {text: number for number, text in reversed(list(enumerate(names)))}
    unknown = [label for label in labels if label not in index]
    if unknown:
        raise InvalidValueError(must(name, "name classes of class_names", shown(unknown[0])))
    return [index[label] for label in labels]


def _are_texts(labels: Any) -> bool:
    if isinstance(labels, list):
        return bool(labels) and isinstance(labels[0], str)
    return getattr(getattr(labels, "dtype", None), "kind", "") == "U"
