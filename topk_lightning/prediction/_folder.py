"""A folder that ``export --format hf`` wrote, read as a checkpoint: options from config.json, weights from safetensors."""

from __future__ import annotations

import json
import warnings
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from topk_lightning._checks import InvalidValueError, MissingPackageError, must
from topk_lightning.prediction._errors import missing_checkpoint

__all__ = ["CHECKSUM", "CONFIG", "OPTIONS", "WEIGHTS", "find_checkpoint", "is_model_folder", "read_folder"]

#: The two files of an exported folder.
CONFIG, WEIGHTS = "config.json", "model.safetensors"
#: The key of config.json under which the options of the classifier stand.
OPTIONS = "topk_lightning"
#: The key under which the CRC-32 of the file of weights stands, which safetensors has no place for.
CHECKSUM = "topk_lightning_weights_crc32"
# The checkpoints in the folder of a run, the better one first.
_OF_A_RUN = ("best.ckpt", "last.ckpt")


def find_checkpoint(path: str | Path) -> Path | None:
    """Return a file itself, of the folder of a run its best checkpoint, an exported folder as it is; None where nothing is.

    Args:
        path: of any of these.

    Examples:
        >>> find_checkpoint("runs/nowhere") is None
        True
    """
    given = Path(path)
    if given.is_file() or is_model_folder(given):
        return given
    return next((given / name for name in _OF_A_RUN if (given / name).is_file()), None)


def is_model_folder(path: str | Path) -> bool:
    """Return whether a path is a folder with the two files of an exported model."""
    return all((Path(path) / name).is_file() for name in (CONFIG, WEIGHTS))


def read_folder(folder: Path) -> dict[str, Any]:
    """Return what a checkpoint of the same model would hold for prediction.

    Raises:
        FileNotFoundError: a folder without the two files.
        ModuleNotFoundError: safetensors is not installed.
        ValueError: files that are damaged, or that something else wrote.
    """
    if not is_model_folder(folder):
        raise missing_checkpoint(str(folder))
    if find_spec("safetensors") is None:
        remedy = 'Run pip install "topk-lightning[hf]".'
        sentence = must("safetensors", f"be installed to read {WEIGHTS}", "no such package", remedy)
        raise MissingPackageError(sentence, name="safetensors")
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        state = load_file(folder / WEIGHTS)
    except (ValueError, SafetensorError) as error:
        raise _foreign(folder) from error
    if not isinstance(config, dict) or OPTIONS not in config:
        raise _foreign(folder)
    if CHECKSUM not in config:
        warnings.warn(f"model {str(folder)!r} holds no checksum: damage to its numbers is not noticed.", stacklevel=2)
    elif config[CHECKSUM] != zlib.crc32((folder / WEIGHTS).read_bytes()):
        way_out = "Export it again, or copy both files: its numbers cannot be trusted."
        wrong = f"{str(folder / WEIGHTS)!r}, which does not match its checksum in {CONFIG}"
        raise InvalidValueError(must("model", "be an undamaged file", wrong, way_out))
    named = {f"network.{name}": tensor for name, tensor in state.items()}
    return {"hyper_parameters": config[OPTIONS], "state_dict": named}


def _foreign(folder: Path) -> InvalidValueError:
    wanted = "be a folder that topk-lightning export --format hf wrote"
    return InvalidValueError(must("model", wanted, repr(str(folder)), "For another one pass the network itself."))
