"""One ONNX file: the network, its softmax, the k best classes, their names and how images are prepared."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_integer
from topk_lightning._files import replacing
from topk_lightning.export._graph import INPUT, OUTPUTS, TopKGraph, largest_difference
from topk_lightning.export._missing import check_installed

__all__ = ["OPSET", "write_onnx"]

#: The version of ONNX's operators that is written; onnxruntime 1.14 (2023) and later read it.
OPSET = 18

_MOST_BYTES = 2**31 - 2**24  # one file of ONNX holds at most 2 GiB


def write_onnx(
    graph: TopKGraph, sample: Tensor, path: Path, goes_with_it: Mapping[str, str], opset: int = OPSET
) -> float | None:
    """Write the file, and return how far onnxruntime's probabilities are from those here; None where it is not installed.

    Args:
        graph: what is exported.
        sample: prepared images (N, 3, S, S) with N ≥ 2; the batch of the file is of any size.
        path: the file.
        goes_with_it: texts that become the file's metadata.
        opset: version of the operators.

    Raises:
        ModuleNotFoundError: onnx or onnxscript is not installed.
        ValueError: a network that cannot be written as ONNX, or whose answers differ there.
    """
    check_installed("onnx", "export", "onnx", "onnxscript")
    check_integer("opset", opset, minimum=OPSET)
    size = sum(tensor.numel() * tensor.element_size() for tensor in graph.state_dict().values())
    if size > _MOST_BYTES:
        remedy = 'format="torch" has no such bound.'
        raise InvalidValueError(
            must("network", "be below 2 GiB for one file of ONNX", f"{size / 2**30:.1f} GiB", remedy)
        )
    program = _program(graph, sample, opset)
    program.model.metadata_props.update(goes_with_it)
    with replacing(path) as part:
        program.save(str(part))
        if find_spec("onnxruntime") is None:
            return None
        return largest_difference(graph, _session(part), sample)


def _program(graph: TopKGraph, sample: Tensor, opset: int) -> Any:
    batch = torch.export.Dim("batch")
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own affairs
            return torch.onnx.export(
                graph,
                (sample,),
                dynamo=True,
                opset_version=opset,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                dynamic_shapes=({0: batch},),
                verbose=False,
            )
    except Exception as error:  # whatever an operator of some network makes the exporter stumble over
        reason = next((line.strip() for line in str(error.__cause__ or error).splitlines() if line.strip()), "")
        wanted = f"be written as ONNX of opset {opset}, for batches of any size"
        raise InvalidValueError(must("network", wanted, f"one that is not: {reason[:120]}")) from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Sequence[np.ndarray]:
        outputs: Sequence[np.ndarray] = session.run(list(OUTPUTS), {INPUT: images.numpy()})
        return outputs

    return run
