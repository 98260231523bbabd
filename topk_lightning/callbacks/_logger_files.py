"""How a picture or a page gets into a logger: TensorBoard, W&B, or the folder of any other."""

from __future__ import annotations

import importlib
import io
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["send_page", "send_picture"]


def send_picture(logger: Any, name: str, png: bytes, step: int) -> None:
    """Show a picture under its name; a logger that shows none gets it as a file in its folder."""
    if _is(logger, "TensorBoardLogger"):
        logger.experiment.add_image(name, _pixels(png), step, dataformats="HWC")
    elif _is(logger, "WandbLogger"):
        from PIL import Image

        wandb: Any = importlib.import_module("wandb")
        logger.experiment.log({name: wandb.Image(Image.open(io.BytesIO(png)))})
    elif (folder := _folder(logger)) is not None:
        (folder / f"{name.rpartition('/')[2]}.png").write_bytes(png)


def send_page(logger: Any, page: Path, files: Iterable[Path], sentence: str, step: int) -> None:
    """Keep a page and the files beside it.

    Args:
        logger: of either Lightning.
        page: report.html.
        files: what stands beside it.
        sentence: what it says, for a logger that keeps no pages.
        step: of the training.
    """
    if _is(logger, "WandbLogger"):
        wandb: Any = importlib.import_module("wandb")
        artifact = wandb.Artifact("report", type="report", description=sentence)
        for file in (page, *files):
            artifact.add_file(str(file))
        logger.experiment.log_artifact(artifact)
        logger.experiment.log({"report": wandb.Html(str(page))})
        return
    if _is(logger, "TensorBoardLogger"):
        logger.experiment.add_text("report", f"{sentence} The whole report is report.html beside this run.", step)
    if (folder := _folder(logger)) is not None:
        for file in (page, *files):
            if file.resolve().parent != folder.resolve():
                shutil.copy(file, folder)


def _is(logger: Any, name: str) -> bool:
    """Return whether a logger is of this class, be it of pytorch_lightning or of lightning.pytorch."""
    return any(kind.__name__ == name for kind in type(logger).__mro__)


def _folder(logger: Any) -> Path | None:
    folder = getattr(logger, "log_dir", None) or getattr(logger, "save_dir", None)
    if folder is None:
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)


def _pixels(png: bytes) -> Any:
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
