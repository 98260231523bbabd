"""A folder for Hugging Face: weights, what the network is, how images are prepared, and a card for people."""

from __future__ import annotations

import json
import math
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from torch import nn

from topk_lightning._checks import InvalidValueError, MissingFileError, must
from topk_lightning._files import utf8, write_file
from topk_lightning.data import Preprocessing
from topk_lightning.export._card import model_card
from topk_lightning.export._missing import check_installed
from topk_lightning.networks.description import describe_network
from topk_lightning.prediction import CHECKSUM, CONFIG, OPTIONS, WEIGHTS, TrainedModel

__all__ = ["write_folder"]

_BICUBIC, _BILINEAR = 3, 2  # as Pillow numbers them


def write_folder(
    model: TrainedModel, network: nn.Module, num_classes: int, folder: Path, report: str | Path | None
) -> tuple[str, ...]:
    """Write the folder and return who reads it.

    Args:
        model: what is known of the network.
        network: on the CPU, without what wraps it.
        num_classes: number of classes C.
        folder: made where it is not there.
        report: report.json; None: the one beside the checkpoint, if there is one.

    Raises:
        FileNotFoundError: no such report.
        ModuleNotFoundError: safetensors is not installed.
    """
    check_installed("hf", "hf", "safetensors")
    from safetensors.torch import save

    names = model.class_names or [str(index) for index in range(num_classes)]
    measured = _report(model, report, names)
    options = _options(model, network, num_classes)
    path = options["network"].get("class_path", "")
    timm_config = _timm_config(path, options["network"], network, num_classes, model.preprocessing)
    config: dict[str, Any] = timm_config or {"model_type": "topk_lightning", "architectures": [model.kind]}
    config |= {"num_labels": num_classes, "id2label": {str(index): name for index, name in enumerate(names)}}
    if max(Counter(names).values()) == 1:
        config["label2id"] = {name: index for index, name in enumerate(names)}
    if timm_config:
        config["label_names"] = names
    readers = ("timm", "transformers", "topk_lightning") if timm_config else ("topk_lightning",)
    folder.mkdir(parents=True, exist_ok=True)
    # A tensor that two layers share is written for each: safetensors knows no sharing.
    state = {name: tensor.detach().clone().contiguous() for name, tensor in network.state_dict().items()}
    weights = save(state, metadata={"format": "pt"})
    write_file(folder / WEIGHTS, weights)
    _write_json(folder / CONFIG, {**config, OPTIONS: options, CHECKSUM: zlib.crc32(weights)})
    if model.preprocessing is not None:
        _write_json(folder / "preprocessor_config.json", _processor(model.preprocessing))
    write_file(folder / "README.md", utf8(model_card(model, names, measured, folder.resolve().name, readers)))
    return readers


def _report(model: TrainedModel, given: str | Path | None, names: list[str]) -> dict[str, Any] | None:
    """Return the content of report.json, or None where there is none that is of this model."""
    path = Path(given) if given is not None else None
    if path is None and model.path is not None:
        beside = model.path.parent / "report.json"
        path = beside if beside.is_file() else None
    if path is None:
        return None
    if not path.is_file():
        raise MissingFileError(must("report", "be an existing report.json", repr(str(path))))
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if sorted(row["name"] for row in content["sections"]["classes"]["classes"]) == sorted(names):
            return content
    except (ValueError, LookupError, TypeError, OSError):  # another file of that name
        pass
    if given is None:
        return None
    raise InvalidValueError(must("report", "be of the classes of this model", repr(str(path))))


def _options(model: TrainedModel, network: nn.Module, num_classes: int) -> dict[str, Any]:
    """Return the options that `TrainedModel.load` builds the network from; nothing of the training's files."""
    known = dict(model.hyperparameters)
    known.setdefault("network", describe_network(network, num_classes))
    prepared = None if model.preprocessing is None else model.preprocessing.to_dict()
    now = {"num_classes": num_classes, "class_names": model.class_names, "k": list(model.k), "preprocessing": prepared}
    return {**known, **now}


def _timm_config(
    path: str, specification: dict[str, Any], network: nn.Module, num_classes: int, prepared: Preprocessing | None
) -> dict[str, Any] | None:
    """Return config.json as timm writes it; None for a network that is none of timm's."""
    if not path.startswith("timm/"):
        return None
    cfg = getattr(network, "pretrained_cfg", None) or {}
    kept = ("pool_size", "first_conv", "classifier", "fixed_input_size")
    data = {name: cfg[name] for name in kept if cfg.get(name) is not None}
    if prepared is not None:
        size = prepared.image_size
        stretch = prepared.resize == "stretch"
        shorter = prepared.resize if isinstance(prepared.resize, int) else size
        data |= {
            "input_size": [3, size, size],
            "interpolation": prepared.interpolation,
            "crop_pct": 1.0 if stretch else _fraction(size, shorter),
            "crop_mode": "squash" if stretch else "center",
            "mean": list(prepared.mean),
            "std": list(prepared.std),
        }
    architecture = str(cfg.get("architecture") or path[len("timm/") :].partition(".")[0])
    arguments = {k: v for k, v in (specification.get("init_args") or {}).items() if k != "num_classes"}
    config = {"architecture": architecture, "num_classes": num_classes, "pretrained_cfg": data}
    if hasattr(network, "num_features"):
        config["num_features"] = network.num_features
    return {**config, "model_args": arguments} if arguments else config


def _fraction(size: int, shorter: int) -> float:
    """Return the part of the shorter side that is cut out; timm divides by it and rounds down."""
    fraction = size / shorter
    while math.floor(size / fraction) < shorter:
        fraction = math.nextafter(fraction, 0)
    return fraction


def _processor(prepared: Preprocessing) -> dict[str, Any]:
    """Return the preprocessing in the words of transformers; its CLIP processor resizes, cuts and normalises as ours."""
    size, stretch = prepared.image_size, prepared.resize == "stretch"
    shorter = prepared.resize if isinstance(prepared.resize, int) else size
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": size, "width": size} if stretch else {"shortest_edge": shorter},
        "resample": _BICUBIC if prepared.interpolation == "bicubic" else _BILINEAR,
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(prepared.mean),
        "image_std": list(prepared.std),
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_file(path, utf8(json.dumps(content, ensure_ascii=False, indent=1) + "\n"))
