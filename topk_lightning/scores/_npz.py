"""Scores as arrays of numpy: an archive (.npz) whose names say what each array is, or the values alone (.npy).

Both are memory-mapped: their numbers stay on the disk until a block of them is read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import torch

from topk_lightning._checks import InvalidValueError, must, shown
from topk_lightning._files import replacing

__all__ = ["read_npy", "read_npz", "write_npz"]

#: The arrays of an archive beside the values, which are called "logits" or "probabilities".
_OTHERS = ("target", "class_names", "ids", "sample_weight", "best", "dtype")
_HOW = "Write it with numpy.savez(file, logits=…, target=…), or probabilities=…."


def read_npy(path: str | Path, name: str = "scores") -> Any:
    """Return the array of a .npy file, memory-mapped.

    Raises:
        ValueError: a damaged file, or one of Python objects.
    """
    try:
        return numpy.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise _no_array(path, name) from error


def read_npz(path: Path) -> dict[str, Any]:
    """Return the arrays of an archive by their names, "values" and "kind" among them.

    Raises:
        ValueError: a damaged file, arrays of Python objects, none or both of "logits" and "probabilities".
    """
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            arrays = {
                entry.filename.removesuffix(".npy"): _array(archive, file, entry, path) for entry in archive.infolist()
            }
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise _no_array(path, "scores") from error
    kinds = [kind for kind in ("logits", "probabilities") if kind in arrays]
    if len(kinds) != 1:
        wanted = 'hold an array "logits" or one "probabilities"'
        raise InvalidValueError(must("scores", wanted, shown(list(arrays)), _HOW))
    unknown = [name for name in arrays if name not in (*kinds, *_OTHERS)]
    if unknown:
        wanted = f"hold no arrays but {kinds[0]}, {', '.join(_OTHERS)}"
        raise InvalidValueError(must("scores", wanted, shown(unknown[0])))
    values = arrays.pop(kinds[0])
    if str(arrays.pop("dtype", "")) == "bfloat16":
        values = torch.from_numpy(numpy.array(values).view(numpy.int16)).view(torch.bfloat16)
    for name in ("class_names", "ids"):
        if name in arrays:
            arrays[name] = [str(text) for text in numpy.atleast_1d(arrays[name]).tolist()]
    return {**arrays, "values": values, "kind": kinds[0]}


def _array(archive: zipfile.ZipFile, file: Any, entry: zipfile.ZipInfo, path: Path) -> Any:
    """Return an array: memory-mapped where it lies as it is, and is large."""
    with archive.open(entry) as member:
        version = numpy.lib.format.read_magic(member)
        read = numpy.lib.format.read_array_header_1_0 if version == (1, 0) else numpy.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read(member)
        if dtype.hasobject:
            raise ValueError("an array of Python objects")
        header = member.tell()
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size < 2**20:
            content = numpy.frombuffer(member.read(), dtype)
            return content.reshape(shape, order="F" if is_fortran else "C")
    # The header of a member ends with its name and an extra field, whose lengths stand at 26.
    file.seek(entry.header_offset + 26)
    name, extra = (int.from_bytes(file.read(2), "little") for _ in range(2))
    offset = entry.header_offset + 30 + name + extra + header
    return numpy.memmap(path, dtype, "r", offset, shape, "F" if is_fortran else "C")


def write_npz(path: str | Path, kind: str, values: torch.Tensor, others: Mapping[str, Any]) -> None:
    """Write values under the name of their kind, and other arrays that are not None, in one move.

    bfloat16, which numpy does not have, is written bit by bit with a note.
    """
    arrays: dict[str, Any] = {name: numpy.asarray(array) for name, array in others.items() if array is not None}
    if values.dtype == torch.bfloat16:
        arrays["dtype"] = numpy.asarray("bfloat16")
        values = values.view(torch.int16)
    with replacing(path) as part, part.open("wb") as file:
        numpy.savez(file, **{kind: values.numpy(), **arrays})


def _no_array(path: str | Path, name: str) -> InvalidValueError:
    wanted = "be an undamaged .npy or .npz file of numbers and texts"
    return InvalidValueError(must(name, wanted, repr(str(path)), "Python objects in it are not read."))
