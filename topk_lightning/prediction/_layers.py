"""What each layer of a network does with one image: its output's shape, its parameters, a few of its feature maps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import batchnorm, conv, dropout, pooling
from torch.nn.utils.parametrize import ParametrizationList

from topk_lightning.ranking import topk_indices

__all__ = ["LayerTrace", "recorded_layers"]

# Layers whose outputs are (N, channels, H, W). What follows one of them with an output of the same shape is taken for
# feature maps too: an activation, for example, works on any shape, and only the order tells what it had.
_SPATIAL = (conv._ConvNd, batchnorm._BatchNorm, pooling._MaxPoolNd, pooling._AvgPoolNd)


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """Tell what one layer returned, each time it was called.

    Args:
        name: its path in the network, such as "features.0.2"; "" for the network itself.
        kind: the name of its class.
        shapes: the shape of its output, with the batch of 1 in front; several for a layer that returns several tensors.
        parameters: how many numbers it has learned, those counted further up left out (a layer called again, a weight
            that two layers share).
        call: 1 where it is called for the first time, 2 for the second.
        maps: a few of its feature maps, (m, H, W) float32, those that vary most over the image; None for other outputs.
        channels: the channels that they are.
    """

    name: str
    kind: str
    shapes: tuple[tuple[int, ...], ...]
    parameters: int
    call: int
    maps: Tensor | None = field(default=None, repr=False)
    channels: tuple[int, ...] = ()


@dataclass
class _Recorder:
    """Fills `layers` while the network runs; a call in which another was recorded is none of a layer."""

    num_maps: int
    layers: list[LayerTrace] = field(default_factory=list)
    running: list[_Call] = field(default_factory=list)
    calls: dict[nn.Module, int] = field(default_factory=dict)
    counted: set[Tensor] = field(default_factory=set)
    spatial: torch.Size | None = None  # shape of the last output, if it held feature maps

    def enter(self, module: nn.Module) -> None:
        for outer in self.running:
            outer.is_layer = False
        self.running.append(_Call(module))

    def leave(self, name: str, module: nn.Module, output: Any) -> None:
        # A call that ended in an exception, which a module around it caught, was never left.
        while (call := self.running.pop()).module is not module:
            pass
        self.calls[module] = self.calls.get(module, 0) + 1
        # A module around layers stands in the list where it has parameters of its own, for what they do.
        of_layer = list(module.parameters(recurse=call.is_layer))
        if not call.is_layer and not of_layer:
            return
        new = {parameter for parameter in of_layer if parameter not in self.counted}
        self.counted |= new
        tensors = list(_tensors(output))
        maps, channels = self._maps(module, tensors) if call.is_layer else (None, ())
        shapes = tuple(tuple(tensor.shape) for tensor in tensors)
        parameters = sum(parameter.numel() for parameter in new)
        self.layers.append(
            LayerTrace(name, type(module).__name__, shapes, parameters, self.calls[module], maps, channels)
        )

    def _maps(self, module: nn.Module, tensors: list[Tensor]) -> tuple[Tensor | None, tuple[int, ...]]:
        output = tensors[0] if len(tensors) == 1 else None
        known = output is not None and (isinstance(module, _SPATIAL) or output.shape == self.spatial)
        if output is None or not known or output.ndim != 4 or output.shape[2:].numel() == 1 or not len(output):
            self.spatial = None
            return None, ()
        self.spatial = output.shape
        activation = output[0].detach().float().cpu()
        deviation = activation.flatten(1).std(1).nan_to_num(-1)
        best = topk_indices(deviation.unsqueeze(0), min(self.num_maps, len(activation)))[0]
        # Indexing copies: the activation behind this layer may work in place.
        return activation[best], tuple(best.tolist())


@dataclass
class _Call:
    module: nn.Module
    is_layer: bool = True


@contextlib.contextmanager
def recorded_layers(network: nn.Module, num_maps: int = 8) -> Iterator[list[LayerTrace]]:
    """Within it, each call of a layer of `network` is appended to the list, in the order in which they end.

    A layer is a module within which no other one is called, or one with parameters of its own. Identities and dropout,
    which do nothing in evaluation mode, are left out. All hooks are gone afterwards, also after an exception.

    Args:
        network: whose layers.
        num_maps: how many feature maps of a layer are kept.
    """
    recorder = _Recorder(num_maps)
    with contextlib.ExitStack() as hooks:
        for name, module in _modules(network):
            before = module.register_forward_pre_hook(lambda module, _: recorder.enter(module))
            after = module.register_forward_hook(
                lambda module, _, output, name=name: recorder.leave(name, module, output)
            )
            hooks.callback(before.remove)
            hooks.callback(after.remove)
        yield recorder.layers


def _modules(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield modules with their names, without those that do nothing or only compute a weight, as a weight norm does."""
    hidden = {
        part for module in network.modules() if isinstance(module, ParametrizationList) for part in module.modules()
    }
    for name, module in network.named_modules():
        if module not in hidden and not isinstance(module, nn.Identity | dropout._DropoutNd):
            yield name, module


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        yield from _tensors(list(output.values()))
    elif isinstance(output, list | tuple):
        for part in output:
            yield from _tensors(part)
