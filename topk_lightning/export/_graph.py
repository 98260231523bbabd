"""What is exported: a network with its softmax and its k best classes, and the names and numbers that go with it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from importlib.metadata import version

import numpy as np
import torch
from torch import Tensor, nn

from topk_lightning._checks import InvalidValueError, must
from topk_lightning.networks.compiled import original_module
from topk_lightning.prediction import TrainedModel
from topk_lightning.ranking import topk_indices

__all__ = ["INPUT", "OUTPUTS", "TopKGraph", "core_network", "largest_difference", "sample_images", "what_goes_with_it"]

INPUT = "images"
OUTPUTS = ("probabilities", "indices", "logits")

# How far a probability may be off in another runtime: the rounding of float32 in another order of adding.
_TOLERANCE = 1e-3


class TopKGraph(nn.Module):
    """Turn images (N, 3, S, S) into probabilities (N, k), class indices (N, k), both best first, and logits (N, C)."""

    def __init__(self, network: nn.Module, k: int) -> None:
        super().__init__()
        self.network = network
        self.k = k

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the k best classes of a batch by the order rule."""
        output = self.network(images)
        logits = getattr(output, "logits", output).float()  # as networks of Hugging Face return them
        indices = topk_indices(logits, self.k)
        return logits.softmax(1).gather(1, indices), indices, logits


def core_network(model: TrainedModel) -> nn.Module:
    """Return a copy of the network without what wraps it, on the CPU, for evaluation."""
    inner = getattr(model.network, "network", None)
    network = inner if hasattr(model.network, "hparams") and isinstance(inner, nn.Module) else model.network
    return copy.deepcopy(original_module(network)).cpu().eval()


def sample_images(model: TrainedModel, image_size: int | None, number: int = 2) -> Tensor:
    """Return random images of the size that a model was trained on."""
    size = image_size if model.preprocessing is None else model.preprocessing.image_size
    if size is None:
        remedy = "The model does not say how its images are prepared."
        raise InvalidValueError(must("image_size", "be given for this model", None, remedy))
    return torch.randn(number, 3, size, size, generator=torch.Generator().manual_seed(0))


def what_goes_with_it(model: TrainedModel, k: int, num_classes: int) -> dict[str, str]:
    """Return names, k and preprocessing as JSON texts, for a file that holds texts by their keys."""
    names = model.class_names or [str(index) for index in range(num_classes)]
    prepared = None if model.preprocessing is None else model.preprocessing.to_dict()
    return {
        "class_names": json.dumps(names, ensure_ascii=False),
        "k": str(k),
        "preprocessing": json.dumps(prepared),
        "made_by": f"topk-lightning {version('topk-lightning')}",
    }


def largest_difference(graph: TopKGraph, run: Callable[[Tensor], Sequence[np.ndarray]], sample: Tensor) -> float:
    """Return the largest difference of a probability between a graph here and where it was exported to.

    Args:
        graph: what was exported.
        run: returns the outputs of the exported one as arrays.
        sample: images; batches of one, of all, and of three are tried.

    Raises:
        ValueError: other answers than rounding explains.
    """
    difference = 0.0
    for images in (sample[:1], sample, torch.cat([sample, sample[:1]])):
        with torch.inference_mode():
            probabilities, _, logits = graph(images)
        others, indices, _ = run(images)
        # By the index that was answered: where two classes are all but equal, either may come first.
        expected = logits.softmax(1).gather(1, torch.as_tensor(indices)).numpy()
        for theirs, ours in ((others, expected), (others, probabilities.numpy())):
            difference = max(difference, float(np.abs(theirs - ours).max()))
    if not difference <= _TOLERANCE:
        wanted = "answer alike where it was exported to"
        raise InvalidValueError(must("network", wanted, f"probabilities that differ by {difference:g}"))
    return difference
