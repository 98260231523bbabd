"""Which layer of a network does not fit an image, and which number it should have."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy

from topk_lightning._checks import InvalidTypeError, InvalidValueError, UserError, must
from topk_lightning.networks._small_cnn import SmallCNN
from topk_lightning.networks.description import is_library_network
from topk_lightning.networks.outputs import check_logits

__all__ = ["check_image_size", "check_network", "check_own_network", "misfit"]

# What networks say that take images of one size alone; the number may be that of maps within, so it is tried.
_OF_ONE_SIZE = (
    r"Wrong image (?:height|width)! Expected (\d+) but got",
    r"Input (?:height|width) \(\d+\) doesn't match model \((\d+)\)",
    r"Input image size \(\d+\*\d+\) doesn't match model \((\d+)\*",
)
_USUAL_SIZE = 224  # pixels


def check_network(network: nn.Module, image: Tensor) -> int:
    """Return how many classes a network scores for an image, or say which of its layers does not fit the image.

    Nothing is trained; every module is in its own mode again afterwards.

    Args:
        network: returns logits (N, C).
        image: prepared as for training, (channels, H, W) or (N, channels, H, W); its values do not matter.

    Raises:
        TypeError: an image that is no floating-point tensor, a network that returns something else than logits.
        ValueError: a layer that does not fit, with the number it should have; logits of another shape.

    Examples:
        >>> layers = nn.Conv2d(3, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
        >>> check_network(nn.Sequential(*layers, nn.Linear(20 * 14 * 14, 10)), torch.zeros(3, 32, 32))
        10
        >>> check_network(nn.Sequential(*layers, nn.Linear(20 * 12 * 12, 10)), torch.zeros(3, 32, 32))
        Traceback (most recent call last):
        topk_lightning._checks.InvalidValueError: layer '4' (Linear) must have in_features =
        20·14·14 = 3920 for images of 3 × 32 × 32, got 2880.
    """
    if not isinstance(image, Tensor) or not image.is_floating_point():
        actual = f"{image.dtype} tensor" if isinstance(image, Tensor) else type(image).__name__
        raise InvalidTypeError(must("image", "be a floating-point tensor", actual))
    if image.ndim not in (3, 4):
        raise InvalidValueError(must("image", "have shape (channels, H, W) or (N, channels, H, W)", tuple(image.shape)))
    images = image.unsqueeze(0) if image.ndim == 3 else image
    walk = _walk(network, images)
    if walk.error is None:
        return check_logits(walk.output, len(images), None).shape[1]
    raise _error_of(walk, network, images) or walk.error


def check_image_size(network: nn.Module, size: int) -> None:
    """Raise for square images that a network of torchvision, timm or this library does not fit, before any is loaded."""
    if is_library_network(network) or isinstance(network, SmallCNN):
        error = misfit(network, next(network.parameters()).new_zeros((1, 3, size, size)))
        if error is not None:
            raise error


def check_own_network(network: nn.Module, size: int, batch_size: int) -> None:
    """Raise for square images that a network of whatever origin does not fit, before any is loaded.

    It is called with one image, and with a batch where that fails, since it may be written for batches of one size alone.
    Weights that take their shape from the first batch have none yet, and are not called. Random numbers are given back.
    """
    weights = next(network.parameters(), None)
    if weights is None or any(is_lazy(parameter) for parameter in network.parameters()):
        return
    kind = weights.dtype if weights.is_floating_point() else torch.float32
    with torch.random.fork_rng([weights.device] if weights.is_cuda else []):  # by default a warning where GPUs are many
        errors = (misfit(network, weights.new_zeros((count, 3, size, size), dtype=kind)) for count in (1, batch_size))
        found = next(errors) and next(errors)
    if found is not None:
        raise found


def misfit(network: nn.Module, images: Tensor) -> ValueError | None:
    """Return the error for the layer that does not fit images (N, channels, H, W); None where it is another matter."""
    walk = _walk(network, images)
    return None if walk.error is None else _error_of(walk, network, images)


@dataclass
class _Walk:
    """How far a network came."""

    names: dict[nn.Module, str]
    running: list[tuple[nn.Module, tuple[Any, ...]]] = field(default_factory=list)
    called: set[nn.Module] = field(default_factory=set)
    maps: Tensor | None = None  # the last that were made
    output: Any = None
    error: Exception | None = None

    def enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.running.append((module, inputs))

    def leave(self, module: nn.Module, output: Any) -> None:
        while self.running.pop()[0] is not module:
            pass
        self.called.add(module)
        if isinstance(output, Tensor) and output.ndim > 2:
            self.maps = output


def _walk(network: nn.Module, images: Tensor) -> _Walk:
    walk = _Walk({module: name for name, module in network.named_modules()})
    training = [module for module in network.modules() if module.training]
    with ExitStack() as hooks, torch.no_grad():
        for module in walk.names:
            hooks.callback(module.register_forward_pre_hook(walk.enter).remove)
            hooks.callback(module.register_forward_hook(lambda m, _, output: walk.leave(m, output)).remove)
        network.eval()
        try:
            walk.output = network(images)
        except Exception as error:  # of any network whatever
            walk.error = error
        finally:
            for module in training:
                module.training = True
    return walk


def _error_of(walk: _Walk, network: nn.Module, images: Tensor) -> ValueError | None:
    if isinstance(walk.error, UserError):
        return None
    if (size := _size_that_fits(walk, network, images)) is not None:
        actual = _product(dict.fromkeys(images.shape[2:]), " × ")
        return InvalidValueError(must("image size", f"be one that this network takes, such as {size}", actual))
    if not isinstance(walk.error, RuntimeError | ValueError):
        return None
    module, inputs = walk.running[-1] if walk.running else (network, ())
    given = next((value for value in inputs if isinstance(value, Tensor)), None)
    seen = f"for images of {_product(images.shape[1:], ' × ')}"
    name = f"layer {walk.names[module]!r} ({type(module).__name__})"
    layer: Any = module
    if isinstance(module, nn.Linear) and given is not None and given.shape[-1] != module.in_features:
        if given.ndim == 4:
            remedy = f"Put nn.Flatten() before it, and in_features = {_factors(walk, given[0].numel())}."
            return InvalidValueError(must(name, f"get one row an image {seen}", f"maps {tuple(given.shape)}", remedy))
        wanted = f"have in_features = {_factors(walk, given.shape[-1])} {seen}"
        return InvalidValueError(must(name, wanted, module.in_features))
    if isinstance(module, _ConvNd) and given is not None and given.ndim > 2 and given.shape[1] != module.in_channels:
        return InvalidValueError(must(name, f"have in_channels = {given.shape[1]} {seen}", module.in_channels))
    if isinstance(module, _BatchNorm) and given is not None and given.shape[1] != module.num_features:
        return InvalidValueError(must(name, f"have num_features = {given.shape[1]} {seen}", module.num_features))
    if given is not None and re.search("Kernel size|Output size is too small|too small", str(walk.error)):
        kernel = _both(getattr(layer, "kernel_size", 1))
        wanted = f"get maps of at least {_product(kernel, ' × ')} pixels {seen}"
        remedy = "Use larger images, or fewer layers that make them smaller."
        return InvalidValueError(must(name, wanted, _product(given.shape[2:], " × "), remedy))
    if next(module.children(), None) is not None or module is network:
        return _between(walk, len(images), seen)
    if not type(module).__module__.startswith("torch.nn."):  # a layer of the user's own says itself what it lacks
        return None
    shape = None if given is None else tuple(given.shape)
    return InvalidValueError(must(name, f"fit its input {seen}", f"shape {shape}", _first_line(walk.error)))


def _size_that_fits(walk: _Walk, network: nn.Module, images: Tensor) -> int | None:
    """Return a side of square images with which the network works: what its error names, its published size or the usual one.

    The published and the usual size are tried for networks of torchvision and timm alone.
    """
    squares = ((*images.shape[:2], size, size) for size in _sizes(walk, network) if images.ndim == 4)
    return next(
        (s[-1] for s in squares if s != images.shape and _walk(network, images.new_zeros(s)).error is None), None
    )


def _sizes(walk: _Walk, network: nn.Module) -> Iterator[int]:
    found = (re.search(form, str(walk.error)) for form in _OF_ONE_SIZE)
    yield from (int(match[1]) for match in found if match)
    if is_library_network(network):
        config = getattr(network, "pretrained_cfg", None) or {}
        yield from config.get("input_size", ())[1:2]
        yield _USUAL_SIZE


def _between(walk: _Walk, rows: int, seen: str) -> ValueError | None:
    """Return the error for maps that a network's own forward flattens to another number than they have."""
    match = re.search(r"shape '\[.*\]' is invalid for input of size (\d+)", str(walk.error))
    linear = next((m for m in walk.names if isinstance(m, nn.Linear) and m not in walk.called), None)
    if match is None or linear is None or int(match[1]) % rows:
        return None
    wanted = f"have in_features = {_factors(walk, int(match[1]) // rows)} {seen}"
    remedy = "Flatten with x.flatten(1), which needs no number."
    return InvalidValueError(must(f"layer {walk.names[linear]!r} (Linear)", wanted, linear.in_features, remedy))


def _factors(walk: _Walk, size: int) -> str:
    """Return a number of inputs, as the product of channels and sides where these were flattened.

    The last maps may have been pooled by a function, which is no layer: square ones stay square.
    """
    shape = () if walk.maps is None else tuple(walk.maps.shape[1:])
    if len(shape) == 3 and math.prod(shape) != size and shape[1] == shape[2] and size % shape[0] == 0:
        side = math.isqrt(size // shape[0])
        shape = (shape[0], side, side)
    return f"{_product(shape, '·')} = {size}" if math.prod(shape) == size else str(size)


def _product(shape: Iterable[int], sign: str) -> str:
    return sign.join(map(str, shape))


def _both(size: Any) -> tuple[int, ...]:
    return (size, size) if isinstance(size, int) else tuple(size)


def _first_line(error: Exception | None) -> str:
    line = str(error).strip().splitlines()[0][:200] if str(error).strip() else ""
    return f"torch says: {line.rstrip('.')}." if line else ""
