"""Which images a checkpoint is tested on: those of its training, or others that are named."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from topk_lightning import data
from topk_lightning._checks import InvalidValueError, UserError, must
from topk_lightning.cli._errors import one_line
from topk_lightning.data import EMBEDDED_SHEET, EmojiDataModule, TrainingData, build_data_module, read_index
from topk_lightning.prediction import TrainedModel

__all__ = ["preparation", "trained_data"]


def trained_data(given: str | None, model: TrainedModel) -> Any:
    """Return the data module of a checkpoint's training, prepared as it was, or the folder that is given.

    The checkpoint's own options say what it was trained on; nothing else is read. A folder that is the training's own is
    split again as it was, so that no image it learned is taken for a test.

    Args:
        given: a folder of images, a yaml file of ``fit``, "emoji", or None.
        model: of the checkpoint.

    Raises:
        ValueError: it does not say what it was trained on, or a yaml file without data.
    """
    trained = model.hyperparameters
    options = TrainingData.of(model.training_data).options
    options = _without_download(options) if options else options
    if given is not None and given.endswith((".yaml", ".yml")):
        return _build(_of_config(given), trained)
    root = options.get("init_args", {}).get("root")
    if options and (given is None or (isinstance(root, str) and Path(given).resolve() == Path(root).resolve())):
        return _build(options, trained)
    names = model.class_names or []
    drawings = bool(names) and set(names) <= {entry["name"] for entry in read_index(EMBEDDED_SHEET)["classes"]}
    if given == "emoji" or (given is None and drawings):
        kind = EmojiDataModule
        return kind(classes=names if drawings else None, **preparation(kind, trained))
    if given is None:
        remedy = "Pass a folder of test images (one folder a class), a yaml file of fit, or emoji."
        wanted = f"be given for {model.path}, which does not say what it was trained on"
        raise InvalidValueError(must("--data", wanted, None, remedy))
    return given


def _build(options: Mapping[str, Any], trained: Mapping[str, Any]) -> Any:
    """Build a data module of ours, also by the shorter import path of its class."""
    path = str(options.get("class_path", ""))
    kind = getattr(data, path.rpartition(".")[2], None) if path.startswith("topk_lightning.") else None
    if kind is None:
        return build_data_module(options)  # says which there are
    try:
        skip = {"on_bad_image": "skip"} if "on_bad_image" in inspect.signature(kind).parameters else {}
        options = {**options, "class_path": f"topk_lightning.data.{kind.__name__}"}
        return build_data_module(options, **preparation(kind, trained), **skip)
    except UserError:
        raise
    except Exception as error:  # what a constructor makes of arguments that are none of its own
        raise InvalidValueError(must("data", "be built as the checkpoint says", one_line(str(error))[:100])) from error


def _without_download(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint says of its data; nothing is fetched because a checkpoint says so."""
    given = options.get("init_args")
    arguments = {name: value for name, value in given.items() if name != "download"} if isinstance(given, dict) else {}
    if isinstance(arguments.get("options"), dict):
        arguments["options"] = {name: value for name, value in arguments["options"].items() if name != "download"}
    return {"class_path": options.get("class_path"), "init_args": arguments}


def _of_config(path: str) -> Mapping[str, Any]:
    """Return the data section of a yaml file that ``fit`` saved."""
    import yaml

    try:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        config = None
    section = config.get("data") if isinstance(config, dict) else None
    section = {"class_path": section} if isinstance(section, str) else section
    if not isinstance(section, dict) or "class_path" not in section:
        raise InvalidValueError(must("--data", "be a yaml file with data.class_path, as fit saves it", repr(path)))
    return {**section, "init_args": section.get("init_args") or {}}


def preparation(kind: Any, trained: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a data module that prepare the images as in training, as far as it takes them."""
    prepared = trained.get("preprocessing")
    if prepared is None:
        return {}
    arguments = {
        "image_size": prepared["image_size"],
        "resize": prepared.get("resize", "crop"),
        "statistics": [prepared["mean"], prepared["std"]],
        "interpolation": prepared.get("interpolation", "bilinear"),
    }
    taken = inspect.signature(kind).parameters
    return {name: value for name, value in arguments.items() if name in taken}
