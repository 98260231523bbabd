"""Whom a report is about: a network with its names, how images are prepared for it, and how it came about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from topk_lightning._checks.class_names import check_class_names
from topk_lightning.data import Preprocessing
from topk_lightning.prediction.checkpoint import load_checkpoint, read_checkpoint

__all__ = ["Subject", "read_subject"]


@dataclass(frozen=True)
class Subject:
    """A trained network.

    Args:
        network: returns logits (N, C).
        kind: what it is called.
        class_names: in the order of its outputs; None where they are not known.
        preprocessing: how images become its input; None where it is not known.
        k: the k that it was measured by, ascending.
        facts: how it came about, each with its heading.
        epochs: the table that TrainingTrace left in the checkpoint.
    """

    network: nn.Module
    kind: str
    class_names: list[str] | None
    preprocessing: Preprocessing | None
    k: tuple[int, ...]
    facts: Sequence[tuple[str, str]]
    epochs: Sequence[Mapping[str, Any]]


def read_subject(
    model: str | Path | nn.Module, network: nn.Module | None, class_names: Any, preprocessing: Any
) -> Subject:
    """Return the network of a checkpoint or a module; names and preprocessing that are given go before its own."""
    facts: list[tuple[str, str]] = []
    epochs: Sequence[Mapping[str, Any]] = ()
    options: Mapping[str, Any]
    if isinstance(model, nn.Module):
        options = {name: getattr(model, name, None) for name in ("class_names", "preprocessing", "k")}
        trained = model
        core = getattr(model, "network", None)
        hyperparameters: Mapping[str, Any] = getattr(model, "hparams", {})
    else:
        trained = core = load_checkpoint(model, network).network
        if torch.cuda.is_available():
            trained.cuda()
        checkpoint = read_checkpoint(model)
        options = hyperparameters = checkpoint["hyper_parameters"]
        facts.append(("Checkpoint", f"{model}, saved after {checkpoint.get('global_step', 0):,} optimizer steps"))
        states = checkpoint.get("callbacks", {})
        epochs = next((state["rows"] for key, state in states.items() if key.startswith("TrainingTrace")), ())
    kind = type(core if isinstance(core, nn.Module) else trained).__name__
    weights = sum(parameter.numel() for parameter in trained.parameters())
    facts.insert(0, ("Network", f"{kind}, {weights:,} weights"))
    trained_with = [_named(hyperparameters.get(name)) for name in ("loss", "optimizer")]
    if any(trained_with):
        facts.append(("Trained with", ", ".join(part for part in trained_with if part)))
    own = options.get("class_names")
    names = own if class_names is None else check_class_names(class_names, len(own) if isinstance(own, list) else None)
    prepared = options.get("preprocessing") if preprocessing is None else preprocessing
    if isinstance(prepared, Mapping):
        prepared = Preprocessing.from_dict(prepared)
    if prepared is not None:
        size = f"{prepared.image_size}×{prepared.image_size} pixels, {prepared.resize}"
        facts.append(("Images prepared", f"{size}, mean {_short(prepared.mean)}, deviation {_short(prepared.std)}"))
    k = options.get("k") or (1, 3, 5)
    names = None if names is None else check_class_names(names)
    return Subject(trained, kind, names, prepared, tuple(sorted({1, *k})), facts, epochs)


def _named(description: Any) -> str:
    """Return a loss or an optimizer in words: its class with the options that were given."""
    if isinstance(description, str):
        return description
    if not isinstance(description, Mapping):
        return ""
    if "unnamed" in description:
        return str(description["unnamed"])
    options = description.get("init_args") or {}
    named = ", ".join(
        f"{name}={json.dumps(value, default=str)}" for name, value in options.items() if value is not None
    )
    return f"{str(description.get('class_path', '')).rpartition('.')[2]}({named})"


def _short(values: Sequence[float]) -> str:
    return "/".join(f"{value:.3f}" for value in values)
