"""The folder of a run: its name, what lies in it, and that one training at a time writes there."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from topk_lightning._checks import InvalidValueError, MissingFileError, must
from topk_lightning._checks.places import check_folder_place, refused_place

__all__ = [
    "BATCH",
    "BEST",
    "CONFIG",
    "INTERRUPTED",
    "LAST",
    "REPORT",
    "TABLE",
    "checkpoint_of",
    "new_run",
    "newest_run",
    "run_name",
    "sole_training",
]

BEST, LAST, INTERRUPTED = "best.ckpt", "last.ckpt", "interrupted.ckpt"
CONFIG, TABLE, REPORT = "config.yaml", "epochs.csv", "report.html"
BATCH = "batch.png"

_RUNS = Path("runs")
_LOCK = ".lock"
# Processes that a launcher starts beside the first one find its folder here.
_SHARED = "TOPK_LIGHTNING_RUN"


def new_run(name: str) -> Path:
    """Return ``runs/NAME``, or with the next number where a run stands there already."""
    shared = os.environ.get(_SHARED)
    if shared and os.environ.get("LOCAL_RANK", "0") != "0":
        return Path(shared)
    folder, number = _RUNS / name, 1
    while _is_run(folder):
        number += 1
        folder = _RUNS / f"{name}-{number}"
    os.environ[_SHARED] = str(folder)
    return folder


def run_name(config: Any) -> str:
    """Return what a run is called whose folder is not named: as the folder of images or the table, or as the data."""
    root = config.data.init_args.get("root") if config.data and config.data.get("init_args") else None
    if root:
        path = Path(str(root)).resolve()
        return (path.stem if path.is_file() else path.name) or "run"
    name = config.data.class_path.rpartition(".")[2] if config.data else "run"
    return name.removesuffix("DataModule").lower() or "run"


def newest_run(name: str) -> Path | None:
    """Return the run of this name, numbered or not, whose last checkpoint is the newest; None where there is none."""
    pattern = re.compile(rf"{re.escape(name)}(-\d+)?")
    folders = [folder for folder in _RUNS.glob("*") if pattern.fullmatch(folder.name) and (folder / LAST).is_file()]
    return max(folders, key=lambda folder: (folder / LAST).stat().st_mtime, default=None)


def _is_run(folder: Path) -> bool:
    return folder.exists() and (
        not folder.is_dir() or any(file.name not in (_LOCK, BATCH) for file in folder.iterdir())
    )


def checkpoint_of(path: str) -> str:
    """Return the checkpoint of a path: a file itself, of the folder of a run its best one, an exported folder as it is.

    Raises:
        FileNotFoundError: nothing there, or a folder without a checkpoint.
    """
    given = Path(path)
    if os.path.isfile(given):
        return path
    if not os.path.isdir(given):
        raise MissingFileError(must("checkpoint", "be an existing file or the folder of a run", repr(path)))
    from topk_lightning.prediction import find_checkpoint

    found = find_checkpoint(given)
    if found is None:
        raise MissingFileError(must("checkpoint", f"be a file, or a folder with {BEST}", repr(path)))
    return path if found == given else str(found)


@contextlib.contextmanager
def sole_training(folder: Path) -> Iterator[None]:
    """Within it, no other process may train into the folder; the lock ends with the process, however that ends.

    Raises:
        OSError: no file can be written there.
        ValueError: another training writes there.
    """
    check_folder_place("--out", folder)
    path = folder / _LOCK
    with refused_place("--out", folder):
        folder.mkdir(parents=True, exist_ok=True)
        # Not truncated: the number in it may be that of another training.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    with open(descriptor, "r+", encoding="utf-8") as file:
        try:
            _lock(file.fileno())
        except OSError as error:
            holder = file.read().strip() or "unknown"
            remedy = "Wait for it, or name another folder."
            raise InvalidValueError(
                must(
                    "--out",
                    "be a folder in which no other training runs",
                    f"{str(folder)!r}, where process {holder} trains",
                    remedy,
                )
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            # A run that did not begin leaves no folder.
            names = {entry.name for entry in folder.iterdir()}
            if os.name == "nt":
                file.close()  # Windows removes no open file
            if names <= {_LOCK, BATCH}:
                path.unlink()
            if names == {_LOCK}:
                folder.rmdir()


def _lock(descriptor: int) -> None:
    """Lock a file for this process alone: processes that it forks do not keep it."""
    if os.name == "nt":
        import msvcrt

        # A byte past the end: what is locked cannot be read, and whoever is refused reads the number of the process.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
