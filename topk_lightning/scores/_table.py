"""Scores as a table: a row an image with the scores of all classes (.parquet), or a row for each of its k best classes."""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from topk_lightning._checks import InvalidValueError, MissingPackageError, must, shown
from topk_lightning._files import csv_text, replacing, utf8

__all__ = ["read_csv", "read_parquet", "write_csv", "write_parquet"]

#: Columns of a table of the k best classes; the score is "probability" or "logit", "target" may be missing.
_IMAGE, _RANK, _CLASS = "image", "rank", "class"
_SCORES = {"probability": "probabilities", "logit": "logits"}
_LONG = f"have the columns {_IMAGE}, {_RANK}, {_CLASS} and probability or logit"


def read_csv(path: Path) -> dict[str, Any]:
    """Return the k best classes of each image of a csv file with a row for each: image, rank, class, probability or logit.

    What :class:`topk_lightning.TopKPredictionWriter` writes is such a file; a column "target" names the right class.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidValueError(must("scores", "be a csv file in UTF-8", repr(str(path)))) from error
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ()) if name is not None}
    return _topk_rows(columns)


def read_parquet(path: Path) -> dict[str, Any]:
    """Return the content of a parquet file: a list of scores an image, or a row for each of its k best classes.

    Columns: a list "logits" or "probabilities", "target", "id", "sample_weight"; class names in the metadata. Or those of
    the csv file.
    """
    pyarrow = _pyarrow()
    parquet: Any = importlib.import_module("pyarrow.parquet")
    try:
        table = parquet.read_table(path)
    except (pyarrow.lib.ArrowException, OSError) as error:
        raise InvalidValueError(must("scores", "be an undamaged parquet file", repr(str(path)))) from error
    kinds = [kind for kind in ("logits", "probabilities") if kind in table.column_names]
    if len(kinds) != 1:
        return _topk_rows({name: table[name].to_pylist() for name in table.column_names})
    lists = table[kinds[0]].combine_chunks()
    flat, rows = lists.flatten().to_numpy(zero_copy_only=False), table.num_rows
    if lists.null_count or not rows or len(flat) % rows:
        raise InvalidValueError(must(kinds[0], "hold one number a class in each row", f"{len(flat)} in {rows} rows"))
    notes = {name.decode(): text.decode() for name, text in (table.schema.metadata or {}).items()}
    values = torch.from_numpy(flat.reshape(rows, -1).copy())
    found: dict[str, Any] = {"kind": kinds[0], "values": values}
    if notes.get("dtype") == "bfloat16":
        found["values"] = values.bfloat16()
    if "class_names" in notes:
        found["class_names"] = json.loads(notes["class_names"])
    for column, name in (("target", "target"), ("id", "ids"), ("image", "ids"), ("sample_weight", "sample_weight")):
        if column in table.column_names:
            found[name] = table[column].to_pylist()
    return found


def _topk_rows(columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    score = next((name for name in _SCORES if name in columns), None)
    if score is None or not {_IMAGE, _RANK, _CLASS} <= set(columns):
        raise InvalidValueError(must("scores", _LONG, shown(list(columns))))
    loader = columns.get("dataloader") or [None] * len(columns[_IMAGE])
    images: dict[str, dict[int, tuple[str, float]]] = {}
    targets: dict[str, str] = {}
    given = columns.get("target") or [None] * len(loader)
    for number, image, rank, name, value, target in zip(
        loader, columns[_IMAGE], columns[_RANK], columns[_CLASS], columns[score], given, strict=True
    ):
        key = str(image) if number in (None, "") else f"{number}/{image}"
        try:
            position, score_value = int(rank), float(value)
        except (TypeError, ValueError) as error:
            raise InvalidValueError(must("scores", "hold numbers as rank and score", shown((rank, value)))) from error
        if position in images.setdefault(key, {}) or (
            target is not None and targets.setdefault(key, str(target)) != str(target)
        ):
            raise InvalidValueError(must("scores", "name each image once", f"{shown(key)} twice"))
        images[key][position] = str(name), score_value
    ks = {len(of_image) for of_image in images.values()}
    k = max(ks)
    if len(ks) > 1 or any(set(of_image) != set(range(1, k + 1)) for of_image in images.values()):
        raise InvalidValueError(
            must("scores", "hold the ranks 1 to k of each image", f"{sorted(ks)[:3]} rows an image")
        )
    return {
        "kind": _SCORES[score],
        "best": [[of_image[rank][0] for rank in range(1, k + 1)] for of_image in images.values()],
        "values": torch.tensor([[of_image[rank][1] for rank in range(1, k + 1)] for of_image in images.values()]),
        "ids": list(images),
        "target": list(targets.values()) if targets else None,
    }


def write_csv(path: str | Path, rows: Iterable[Sequence[Any]], score: str, has_target: bool) -> None:
    """Write a row for each of the k best classes of an image: image, rank, class, the score, and the target if there is one."""
    header = [_IMAGE, _RANK, _CLASS, {kind: name for name, kind in _SCORES.items()}[score]]
    with replacing(path) as part, part.open("wb") as file:
        file.write(utf8(csv_text([[*header, *(["target"] if has_target else [])]])))
        lines = iter(rows)
        while some := list(islice(lines, 1000)):
            file.write(utf8(csv_text(some)))


def write_parquet(
    path: str | Path, kind: str, blocks: Iterable[Any], content: Mapping[str, Any], dtype: torch.dtype
) -> None:
    """Write a row an image with all its scores, some rows at a time."""
    pyarrow = _pyarrow()
    parquet: Any = importlib.import_module("pyarrow.parquet")
    notes = {"dtype": str(dtype).removeprefix("torch.")}
    if content.get("class_names") is not None:
        notes["class_names"] = utf8(json.dumps(content["class_names"], ensure_ascii=False)).decode()
    with replacing(path) as part:
        writer = None
        for start, values in blocks:
            rows = slice(start, start + len(values))
            array = (values.float() if values.dtype == torch.bfloat16 else values).contiguous().numpy()
            columns = {kind: pyarrow.FixedSizeListArray.from_arrays(array.reshape(-1), array.shape[1])}
            for name, column in (("ids", "id"), ("target", "target"), ("sample_weight", "sample_weight")):
                if content.get(name) is not None:
                    part_of = content[name][rows]
                    plain = part_of if isinstance(part_of, list) else part_of.tolist()
                    columns[column] = pyarrow.array(
                        [utf8(cell).decode() if isinstance(cell, str) else cell for cell in plain]
                    )
            table = pyarrow.table(columns).replace_schema_metadata(notes)
            writer = writer or parquet.ParquetWriter(part, table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()


def _pyarrow() -> Any:
    try:
        return importlib.import_module("pyarrow")
    except ImportError as error:
        remedy = 'Install it with pip install "topk-lightning[parquet]".'
        text = must("scores", "be a .npz, .npy or .csv file without pyarrow", ".parquet", remedy)
        raise MissingPackageError(text, name="pyarrow") from error
