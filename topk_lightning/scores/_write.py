"""Scores written to files, by the ending of the name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning.ranking import target_rank
from topk_lightning.scores._npz import write_npz
from topk_lightning.scores._scores import Scores
from topk_lightning.scores._table import write_csv, write_parquet

__all__ = ["write_scores"]


def write_scores(scores: Scores, path: str | Path, *, dtype: torch.dtype | None = None, k: int = 5) -> float:
    """Write scores to a .npz or .parquet file, or the k best classes of each image to a .csv file, whole or not at all.

    In the dtype they have, every number that is computed from the file is equal to the last bit.

    Args:
        scores: what to write.
        path: ends in .npz, .parquet or .csv; its folder is made.
        dtype: such as torch.float16; None: the dtype they have.
        k: how many classes of each image a .csv file holds.

    Returns:
        The share of images whose target has another rank in that dtype, in [0, 1]; 0 without a target.

    Raises:
        ValueError: another kind of file, or scores beyond what float16 can hold.

    Examples:
        >>> import tempfile
        >>> close = torch.tensor([[1.0, 1.0001], [2.0, 1.0]])
        >>> write_scores(
        ...     Scores(close, [1, 0], kind="logits"),
        ...     tempfile.mkdtemp() + "/scores.npz",
        ...     dtype=torch.float16,
        ... )
        0.5
    """
    where = Path(path)
    suffix = where.suffix.lower()
    if suffix not in (".npz", ".parquet", ".csv"):
        raise InvalidValueError(must("path", "end in .npz, .parquet or .csv", repr(str(path))))
    where.parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".csv":
        write_csv(where, _topk_rows(scores, k), scores.kind, scores.target is not None)
        return 0.0
    scores.check_whole("a file of them")
    dtype = dtype or scores.values.dtype
    content = {"target": scores.target, "class_names": scores.class_names, "ids": scores.ids}
    content["sample_weight"] = scores.sample_weight
    if suffix == ".npz":
        values = scores.values
        if dtype != values.dtype:
            values = torch.cat([_cast(block.values, dtype) for block in scores.blocks()])
        write_npz(where, scores.kind, values, content)
    else:
        blocks = ((block.start, _cast(block.values, dtype)) for block in scores.blocks())
        write_parquet(where, scores.kind, blocks, content, dtype)
    return 0.0 if dtype == scores.values.dtype else _changed(scores, dtype)


def _cast(values: Tensor, dtype: torch.dtype) -> Tensor:
    cast = values.to(dtype)
    if bool((cast.isinf() & ~values.isinf()).any()):
        largest = float(values.abs().nan_to_num().max())
        wanted = f"lie within ±{torch.finfo(dtype).max:g} to be written in {str(dtype).removeprefix('torch.')}"
        raise InvalidValueError(must("scores", wanted, f"{largest:g}", "Write them in float32."))
    return cast


def _changed(scores: Scores, dtype: torch.dtype) -> float:
    if scores.target is None or scores.target.ndim == 2:
        return 0.0
    changed, labels = 0, scores.labels()
    for block in scores.blocks():
        target = labels[block.start : block.start + len(block)]
        changed += int((target_rank(block.values, target) != target_rank(block.values.to(dtype), target)).sum())
    return changed / len(scores)


def _topk_rows(scores: Scores, k: int) -> Iterator[list[Any]]:
    k = min(k, scores.num_classes if scores.best is None else scores.best.shape[1])
    best, names = scores.topk(k), scores.names
    values = scores.values[:, :k] if scores.best is not None else scores.values.gather(1, best)
    target = None if scores.target is None else scores.labels("a file of the k best").tolist()
    for row, (classes, of_row) in enumerate(zip(best.tolist(), values.tolist(), strict=True)):
        image = row if scores.ids is None else scores.ids[row]
        right = [] if target is None else [names[target[row]]]
        for rank, (index, value) in enumerate(zip(classes, of_row, strict=True), 1):
            yield [image, rank, names[index], value, *right]
