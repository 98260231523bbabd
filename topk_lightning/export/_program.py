"""One file of ``torch.export``: a graph of torch's own operators that runs without the network's Python code."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._files import replacing
from topk_lightning.export._graph import TopKGraph, largest_difference

__all__ = ["EXTRA_FILE", "write_program"]

#: Under which name the texts stand in the file.
EXTRA_FILE = "topk_lightning.json"


def write_program(graph: TopKGraph, sample: Tensor, path: Path, goes_with_it: Mapping[str, str]) -> float:
    """Write the file, read it again, and return how far its probabilities are from those of the network.

    Args:
        graph: what is exported.
        sample: prepared images (N, 3, S, S) with N ≥ 2; the batch of the file is of any size.
        path: the file.
        goes_with_it: texts that stand in the file beside the graph.

    Raises:
        ValueError: a network that torch.export cannot follow.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.export's own affairs
        try:
            program = torch.export.export(graph, (sample,), dynamic_shapes=({0: torch.export.Dim("batch")},))
        except Exception as error:  # whatever a network does that cannot be followed
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
            wanted = "be followed by torch.export, for batches of any size"
            raise InvalidValueError(must("network", wanted, f"one that is not: {reason[:120]}")) from error
        with replacing(path) as part:
            with part.open("wb") as file:
                torch.export.save(program, file, extra_files={EXTRA_FILE: json.dumps(dict(goes_with_it))})
            with part.open("rb") as written:
                module = torch.export.load(written).module()

            def run(images: Tensor) -> Sequence[np.ndarray]:
                with torch.inference_mode():
                    return [output.numpy() for output in module(images)]

            return largest_difference(graph, run, sample)
