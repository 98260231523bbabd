"""``export_model``: a trained model as a file or folder that works without this library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_choice, check_k
from topk_lightning._checks.places import check_file_place, check_folder_place
from topk_lightning.export._folder import write_folder
from topk_lightning.export._graph import TopKGraph, core_network, sample_images, what_goes_with_it
from topk_lightning.export._onnx import OPSET, write_onnx
from topk_lightning.export._program import write_program
from topk_lightning.prediction import TrainedModel

__all__ = ["DEFAULT_OUT", "Exported", "export_model"]

#: Where each format is written by default, and so how its files end.
DEFAULT_OUT = {"onnx": "model.onnx", "torch": "model.pt2", "hf": "model"}


@dataclass(frozen=True)
class Exported:
    """Say what was written.

    Attributes:
        path: the file or folder.
        k: how many classes the file answers with; None for a folder, which holds the network alone.
        largest_difference: of a probability, between the network here and the written one, on random images; None where
            it was not compared, since onnxruntime is not installed.
        readers: who reads it again.
    """

    path: Path
    k: int | None
    largest_difference: float | None
    readers: tuple[str, ...]


def export_model(
    model: str | Path | nn.Module | TrainedModel,
    out: str | Path | None = None,
    *,
    format: str,  # noqa: A002
    k: int | None = None,
    opset: int = OPSET,
    report: str | Path | None = None,
    image_size: int | None = None,
    network: nn.Module | str | None = None,
    class_names: Sequence[str] | Mapping[Any, Any] | None = None,
    preprocessing: Any = None,
    trust: Iterable[str] = (),
) -> Exported:
    """Write a trained model for others, compare its answers with those here, and say what was written.

    - "onnx": one file with the network, its softmax, the k best classes and their names, for batches of any size. Its
      input is ``images`` float32 (N, 3, S, S), prepared; its outputs are ``probabilities`` float32 (N, k) and ``indices``
      int64 (N, k), best first by the order rule, and ``logits`` (N, C). Its metadata holds ``class_names``, ``preprocessing``
      (both JSON) and ``k``. A row with NaN has NaN probabilities.
    - "torch": the same as a program of ``torch.export``, whose extra file ``topk_lightning.json`` holds the texts.
    - "hf": a folder for Hugging Face: model.safetensors, config.json with ``id2label``, preprocessor_config.json, and a
      model card, README.md. timm and transformers read that of a timm network, ``TrainedModel.load`` any.

    Args:
        model: path of a checkpoint that TopKClassifier saved, a TopKClassifier, any nn.Module that returns logits (N, C), or
            a model that was loaded before.
        out: the .onnx or .pt2 file, or the folder; None: model.onnx, model.pt2 or model here.
        format: "onnx", "torch" or "hf".
        k: how many classes a file answers with; None: the largest that the model was measured by, else 5 or all of fewer.
        opset: version of ONNX's operators, 18 or later.
        report: report.json of :func:`topk_lightning.write_report`, for the model card; None: the one beside the checkpoint.
        image_size: side S of the images, for a model that does not say how they are prepared.
        network: the network of a checkpoint that cannot name it, or "package.module:function" that returns it.
        class_names: a list, {index: name} or {name: index}; None: those of the model.
        preprocessing: a Preprocessing or the dict of one; None: that of the model.
        trust: packages of others that a checkpoint may name; importing them runs their code.

    Raises:
        ModuleNotFoundError: a package that the format needs, with the extra that brings it.
        FileNotFoundError: no checkpoint or no report there.
        OSError: a place that cannot be written to, before anything is exported.
        ValueError: an unknown format, k > C, a network that cannot be exported or answers differently there.

    Examples:
        >>> import tempfile
        >>> network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())  # the mean of each channel
        >>> out = tempfile.mkdtemp() + "/mean.pt2"
        >>> written = export_model(
        ...     network, out, format="torch", k=2, class_names=["ant", "bee", "cat"], image_size=8
        ... )
        >>> image = torch.tensor([0.0, 2.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
        >>> probabilities, indices, logits = torch.export.load(out).module()(image)
        >>> indices
        tensor([[1, 2]])
    """
    check_choice("format", format, DEFAULT_OUT)
    path = _checked_path(DEFAULT_OUT[format] if out is None else out, format)
    trained = TrainedModel.load(model, network, class_names=class_names, preprocessing=preprocessing, trust=trust)
    sample = sample_images(trained, image_size)
    with trained.evaluating(), torch.inference_mode():
        num_classes = trained.logits(sample, None).shape[1]
    if format == "hf":
        readers = write_folder(trained, core_network(trained), num_classes, path, report)
        return Exported(path, None, None, readers)
    k = check_k((max(trained.k, default=0) or min(5, num_classes)) if k is None else k, num_classes)
    graph = TopKGraph(core_network(trained), k).eval()
    texts = what_goes_with_it(trained, k, num_classes)
    path.parent.mkdir(parents=True, exist_ok=True)
    if format == "onnx":
        return Exported(path, k, write_onnx(graph, sample, path, texts, opset), ("onnxruntime",))
    return Exported(path, k, write_program(graph, sample, path, texts), ("torch.export.load",))


def _checked_path(out: str | Path, form: str) -> Path:
    path, ending = Path(out), Path(DEFAULT_OUT[form]).suffix
    if path.suffix != ending and form != "hf":
        raise InvalidValueError(must("out", f"end in {ending} for format={form!r}", repr(str(out))))
    if path.is_dir() if ending else path.is_file():
        raise InvalidValueError(must("out", f"be a {'file' if ending else 'folder'}", repr(str(out))))
    (check_file_place if ending else check_folder_place)("out", path)
    return path
