"""The head of a network (its last linear layer) and its backbone (everything else), for fine-tuning."""

from __future__ import annotations

from typing import Any

from torch import nn

from topk_lightning._checks import InvalidValueError, must

__all__ = ["backbone_parameters", "find_head", "replace_head"]


def find_head(network: nn.Module) -> str | None:
    """Return the name of the last nn.Linear or nn.Conv2d of `network`, or None.

    Modules are registered in the order in which they are applied in nearly every classifier; a timm model is asked
    for its own classifier.
    """
    layers = {name: module for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)}
    get_classifier: Any = getattr(network, "get_classifier", None)
    if callable(get_classifier):
        classifiers = [name for name, module in layers.items() if module is get_classifier()]
        return classifiers[0] if classifiers else None
    return list(layers)[-1] if layers else None


def _outputs(layer: nn.Module) -> int:
    """Return the number of outputs of an nn.Linear or nn.Conv2d."""
    return int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)  # type: ignore[arg-type]


def head_of(network: nn.Module, num_classes: int) -> nn.Module:
    """Return the head of `network`.

    Raises:
        ValueError: if the last layer does not have `num_classes` outputs.
    """
    name = find_head(network)
    if name is None or _outputs(network.get_submodule(name)) != num_classes:
        raise _missing_head(type(network).__name__, num_classes)
    return network.get_submodule(name)


def replace_head(network: nn.Module, num_classes: int) -> None:
    """Give a torchvision or timm network a new last layer of `num_classes` outputs, unless it has as many.

    Raises:
        ValueError: if the network has no linear or convolutional last layer.
    """
    if callable(getattr(network, "reset_classifier", None)):
        if network.num_classes != num_classes:
            network.reset_classifier(num_classes)  # type: ignore[operator]
        return
    name = find_head(network)
    if name is None:
        raise _missing_head(type(network).__name__, num_classes)
    old = network.get_submodule(name)
    if _outputs(old) == num_classes:
        return
    options = {"bias": old.bias is not None, "device": old.weight.device, "dtype": old.weight.dtype}
    if isinstance(old, nn.Linear):
        new: nn.Module = nn.Linear(old.in_features, num_classes, **options)  # type: ignore[arg-type]
    else:
        new = nn.Conv2d(old.in_channels, num_classes, old.kernel_size, old.stride, old.padding, **options)  # type: ignore[arg-type]
    network.set_submodule(name, new)
    if isinstance(getattr(network, "num_classes", None), int):
        network.num_classes = num_classes  # type: ignore[assignment]


def backbone_parameters(network: nn.Module, num_classes: int) -> list[nn.Parameter]:
    """Return the parameters of `network` outside its head."""
    head = set(head_of(network, num_classes).parameters())
    return [parameter for parameter in network.parameters() if parameter not in head]


def _missing_head(network: str, num_classes: int) -> ValueError:
    """Return the error for a network in which no last layer can be told from a backbone."""
    wanted = f"end in an nn.Linear or nn.Conv2d with {num_classes} outputs to tell its head from its backbone"
    return InvalidValueError(must("network", wanted, network))
