"""How published weights were trained to see images: their size, its normalisation and how it is cut."""

from __future__ import annotations

from typing import Any

from torch import nn

from topk_lightning.networks.specification import check_specification

__all__ = ["published_class_names", "published_preprocessing"]


def published_preprocessing(network: str | dict[str, Any] | nn.Module, weights: str | None) -> dict[str, Any] | None:
    """Return the preprocessing of named weights, by torchvision's or timm's own description; None for any others.

    Args:
        network: a specification, or a network, which does not say where its weights come from.
        weights: a name of torchvision's or "DEFAULT"; a file does not say it.

    Returns:
        What :meth:`topk_lightning.Preprocessing.from_dict` takes.

    Examples:
        >>> found = published_preprocessing("resnet18", "DEFAULT")
        >>> found["image_size"], found["resize"], found["interpolation"]
        (224, 256, 'bilinear')
        >>> published_preprocessing("small_cnn", None) is None
        True
    """
    if weights is None or isinstance(network, nn.Module):
        return None
    name = check_specification("network", network)["class_path"]
    if name.startswith("timm/"):
        return _of_timm(name[len("timm/") :]) if weights == "DEFAULT" else None
    return None if name == "small_cnn" or "." in name else _of_torchvision(name, weights)


def published_class_names(network: str | dict[str, Any] | nn.Module, weights: str | None) -> list[str] | None:
    """Return what the classes of named weights are called, by torchvision's categories or timm's class maps; None for others.

    Args:
        network: a specification; a network does not say where its weights come from.
        weights: a name of torchvision's or "DEFAULT".

    Examples:
        >>> names = published_class_names("resnet18", "DEFAULT")
        >>> len(names), names[0]
        (1000, 'tench')
    """
    if weights is None or isinstance(network, nn.Module):
        return None
    name = check_specification("network", network)["class_path"]
    if name.startswith("timm/"):
        return _names_of_timm(name[len("timm/") :]) if weights == "DEFAULT" else None
    if name == "small_cnn" or "." in name:
        return None
    from torchvision.models import get_model_weights

    known = get_model_weights(name).__members__
    categories = known[weights].meta.get("categories") if weights in known else None
    return None if categories is None else list(categories)


def _names_of_timm(name: str) -> list[str] | None:
    from timm.data import ImageNetInfo, infer_imagenet_subset
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(name)
    named = getattr(config, "label_names", None)
    subset = infer_imagenet_subset(config.to_dict())
    if named or not subset:
        return list(named) if named else None
    known = ImageNetInfo(subset)
    return [known.index_to_description(index) for index in range(known.num_classes())]


def _of_torchvision(name: str, weights: str) -> dict[str, Any] | None:
    from torchvision.models import get_model_weights

    known = get_model_weights(name).__members__
    if weights not in known:
        return None
    way = known[weights].transforms()
    return {
        "image_size": way.crop_size[0],
        "resize": way.resize_size[0],
        "mean": list(way.mean),
        "std": list(way.std),
        "interpolation": way.interpolation.value,
    }


def _of_timm(name: str) -> dict[str, Any]:
    from timm.data import resolve_data_config
    from timm.models import get_pretrained_cfg

    way = resolve_data_config({}, pretrained_cfg=get_pretrained_cfg(name).to_dict())
    size = way["input_size"][1]
    interpolation = way["interpolation"] if way["interpolation"] in ("bilinear", "bicubic") else "bilinear"
    return {
        "image_size": size,
        "resize": "stretch" if way["crop_mode"] == "squash" else int(size / way["crop_pct"]),
        "mean": list(way["mean"]),
        "std": list(way["std"]),
        "interpolation": interpolation,
    }
