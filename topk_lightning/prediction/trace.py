"""What happens to one picture: layer by layer, then softmax, then the k best classes beside the true one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from topk_lightning._checks.class_names import check_class_names
from topk_lightning._checks.options import check_integer
from topk_lightning._checks.trace import check_one_image, check_one_row, check_true_class
from topk_lightning.prediction.image_sources import iterate_images
from topk_lightning.prediction.layers import LayerTrace, recorded_layers
from topk_lightning.prediction.predict_topk import Prepare, device_of, evaluating, load_trained
from topk_lightning.prediction.topk_predictions import TopKPrediction, topk_predictions
from topk_lightning.ranking import target_rank

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType

__all__ = ["PredictionTrace", "trace_prediction"]


@dataclass(frozen=True, eq=False)
class PredictionTrace:
    """Hold how a network came to its k best classes for one image; ``rich.print(trace)`` shows it as a table.

    Args:
        kind: the name of the network's class.
        parameters: how many numbers the network has learned, those of layers that were not called included.
        picture: the image as the network saw it, (H, W, channels) in [0, 1]; stretched to that range where it is not
            known how it was normalised.
        layers: each call of a layer, in the order in which they ended.
        logits: the output of the network, (C,).
        probabilities: their softmax, (C,).
        predictions: the k best classes, best first.
        target: index of the true class; None where it is not known.
        target_name: its name.
        target_rank: how many classes stand ahead of it, as :func:`topk_lightning.target_rank` counts: 0 is best.
    """

    kind: str
    parameters: int
    picture: Tensor
    layers: tuple[LayerTrace, ...]
    logits: Tensor
    probabilities: Tensor
    predictions: tuple[TopKPrediction, ...]
    target: int | None = None
    target_name: str | None = None
    target_rank: int | None = None

    @property
    def in_topk(self) -> bool | None:
        """Whether the true class is among the k best; None where it is not known."""
        return None if self.target_rank is None else self.target_rank < len(self.predictions)

    @property
    def verdict(self) -> str:
        """A sentence about the true class; "" where it is not known."""
        if self.target_rank is None:
            return ""
        place, found = (
            f"rank {self.target_rank + 1:,} of {len(self.logits):,}",
            "within" if self.in_topk else "not within",
        )
        return f"The true class {self.target_name!r} has {place}: {found} the top {len(self.predictions)}."

    def figure(self) -> Figure:
        """Return the picture, its k best classes as bars, and feature maps of a few layers, as a matplotlib figure."""
        from topk_lightning.prediction.layer_picture import trace_picture

        return trace_picture(self)

    def __rich__(self) -> RenderableType:
        from topk_lightning.prediction.trace_table import trace_table

        return trace_table(self)


def trace_prediction(
    model: str | Path | nn.Module,
    image: Any,
    class_names: Sequence[str] | Mapping[Any, Any] | None = None,
    k: int = 5,
    target: int | str | None = None,
    *,
    network: nn.Module | None = None,
    preprocessing: Any = None,
    num_maps: int = 8,
) -> PredictionTrace:
    """Return what each layer of a model does with one image, the softmax, and the check of the true class.

    A layer is a module within which no other one is called, or one with parameters of its own. What a network does
    outside of its modules, such as the sum at the end of a residual block, is not listed; neither are identities and
    dropout, which do nothing here. The prediction is the one of
    :func:`topk_lightning.predict_topk`. The model is in evaluation mode meanwhile and gets its training mode back; hooks
    are gone afterwards, and no gradient is kept.

    Args:
        model: path of a checkpoint that TopKClassifier saved, a TopKClassifier, or any nn.Module that returns logits.
        image: a file, a PIL image, or a tensor (3, H, W) or (1, 3, H, W); floating-point ones are taken as prepared.
        class_names: a list, {index: name} or {name: index}; None: those of the model.
        k: how many classes count as best, 1 ≤ k ≤ C.
        target: the true class, as an index or a name; None where it is not known.
        network: the network of a checkpoint that cannot name it.
        preprocessing: a Preprocessing or the dict of one; None: that of the model.
        num_maps: how many feature maps of a layer are kept, at least 1.

    Raises:
        FileNotFoundError: a path where nothing is.
        ValueError: not one image, an unknown true class, k > C, or what :func:`topk_lightning.predict_topk` refuses.
        TypeError: something that is no image, or a model that returns something else than logits.

    Examples:
        >>> network = nn.Sequential(nn.Conv2d(3, 4, kernel_size=3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> trace = trace_prediction(network, torch.rand(3, 8, 8), ["ant", "bee", "cat", "dog"], k=4, target="cat")
        >>> for layer in trace.layers:
        ...     print(layer.name, layer.kind, layer.shapes[0], layer.parameters)
        0 Conv2d (1, 4, 6, 6) 112
        1 AdaptiveAvgPool2d (1, 4, 1, 1) 0
        2 Flatten (1, 4) 0
        >>> trace.in_topk
        True
    """
    trained = load_trained(model, network)
    names = trained.class_names if class_names is None else check_class_names(class_names)
    preprocessing = trained.preprocessing if preprocessing is None else preprocessing
    prepared = Prepare(preprocessing)(check_one_image(iterate_images(image)[1]))
    # A compiled network runs as one piece, without its layers.
    plain: nn.Module = getattr(trained.network, "_orig_mod", trained.network)
    with evaluating(plain), torch.no_grad(), recorded_layers(plain, check_integer("num_maps", num_maps)) as layers:
        logits = check_one_row(plain(prepared.unsqueeze(0).to(device_of(plain))))[0].cpu()
    predictions = topk_predictions(logits, names, k, input="logits")
    index = None if target is None else check_true_class(target, names, len(logits))
    rank = None if index is None else int(target_rank(logits.unsqueeze(0), torch.tensor([index])))
    return PredictionTrace(
        kind=type(plain).__name__,
        parameters=sum(parameter.numel() for parameter in plain.parameters()),
        picture=_as_seen(prepared, preprocessing),
        layers=tuple(layers),
        logits=logits,
        probabilities=logits.softmax(0, dtype=torch.float64 if logits.dtype == torch.float64 else torch.float32),
        predictions=predictions,  # type: ignore[arg-type]
        target=index,
        target_name=None if index is None else str(index) if names is None else names[index],
        target_rank=rank,
    )


def _as_seen(prepared: Tensor, preprocessing: Any) -> Tensor:
    """Return pixels (H, W, channels) in [0, 1], the normalisation taken back where it is known."""
    pixels = prepared.float().cpu()
    if preprocessing is None:
        low, high = pixels.min(), pixels.max()
        pixels = (pixels - low) / (high - low).clamp(min=torch.finfo(pixels.dtype).tiny)
    else:
        from topk_lightning.data import Preprocessing

        numbers = Preprocessing.from_dict(preprocessing) if isinstance(preprocessing, Mapping) else preprocessing
        pixels = pixels * torch.tensor(numbers.std).view(-1, 1, 1) + torch.tensor(numbers.mean).view(-1, 1, 1)
    return pixels.clamp(0, 1).movedim(0, -1)
