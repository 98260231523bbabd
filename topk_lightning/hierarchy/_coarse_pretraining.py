"""A fine model that starts from a model of its groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._files import read_archive
from topk_lightning.hierarchy._hierarchy import Hierarchy

__all__ = ["PretrainingReport", "load_pretrained"]

_CHECKPOINT = "coarse_checkpoint"


@dataclass
class PretrainingReport:
    """Say what became of each weight; ``print(report)`` shows it.

    Args:
        loaded: names of weights that were taken as they are.
        initialised: names of weights whose rows were taken from the groups of their classes.
        skipped: names of weights that were not used, or stayed as they were, and why.
    """

    loaded: list[str] = field(default_factory=list)
    initialised: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"loaded {len(self.loaded)}, initialised {len(self.initialised)}, skipped {len(self.skipped)}"]
        lines += [f"  loaded       {name}" for name in self.loaded]
        lines += [f"  initialised  {name}" for name in self.initialised]
        lines += [f"  skipped      {name}: {reason}" for name, reason in self.skipped.items()]
        return "\n".join(lines)


def load_pretrained(
    fine_model: nn.Module,
    coarse_checkpoint: str | Path,
    fine_to_coarse: Hierarchy | Sequence[int] | Mapping[str, str] | Mapping[int, int] | str | Path,
    class_names: Sequence[str] | None = None,
) -> PretrainingReport:
    r"""Return what was loaded into a model of classes from a checkpoint of a model of their groups.

    All weights of equal name and shape are loaded. Parameters with one row a class get, for each class, the row of its
    group; where such a layer has a bias, the bias of a class is that of its group less the logarithm of the group's size.
    So the logsumexp over a group is the logit of the coarse model, and the fine model starts with exactly the group
    probabilities of the coarse one, all classes of a group alike.

    Args:
        fine_model: the model to fill, in place: a LightningModule or a network.
        coarse_checkpoint: a checkpoint of Lightning, or a state dict saved with ``torch.save``; read with
            ``weights_only=True``. Names may have one more part in front on either side ("network.").
        fine_to_coarse: the group of each class, as :meth:`topk_lightning.Hierarchy.of` takes it, groups in the order of
            the coarse model's classes.
        class_names: names of the classes in the order of their indices; None: ``class_names`` of the model, if any.

    Returns:
        Which weights were loaded, initialised and skipped, and why.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: a file that is no checkpoint, or of which nothing fits.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> coarse, fine = nn.Linear(4, 2), nn.Linear(4, 3)
        >>> groups = {"boston": "dog", "pug": "dog", "siamese": "cat"}
        >>> with TemporaryDirectory() as folder:
        ...     torch.save(coarse.state_dict(), f"{folder}/coarse.pt")
        ...     print(load_pretrained(fine, f"{folder}/coarse.pt", groups))
        loaded 0, initialised 2, skipped 0
          initialised  weight
          initialised  bias
    """
    names = class_names if class_names is not None else getattr(fine_model, "class_names", None)
    hierarchy = Hierarchy.of(fine_to_coarse, names)
    groups = torch.tensor(hierarchy.groups)
    tensors: dict[str, Tensor] = dict(fine_model.named_parameters(remove_duplicate=False))
    tensors |= dict(fine_model.named_buffers(remove_duplicate=False))
    kept = {name: tensors[name] for name in fine_model.state_dict() if name in tensors}
    coarse_tensors = _same_names(_read(coarse_checkpoint), kept)
    report = PretrainingReport()
    for name, value in coarse_tensors.items():
        target = kept.get(name)
        if target is None:
            report.skipped[name] = "the fine model has no such weight"
        elif target.shape == value.shape:
            report.loaded.append(name)
        elif isinstance(target, nn.Parameter) and _one_row_a_class(target.shape, value.shape, hierarchy):
            report.initialised.append(name)
        else:
            report.skipped[name] = f"it has shape {tuple(value.shape)}, in the fine model {tuple(target.shape)}"
    if not report.loaded and not report.initialised:
        name, reason = next(iter(report.skipped.items()), ("nothing", "it is empty"))
        raise InvalidValueError(
            must(
                _CHECKPOINT, "hold weights of the fine model", f"none in {str(coarse_checkpoint)!r} ({name}: {reason})"
            )
        )
    report.skipped |= {
        name: "the checkpoint has no such weight, it stayed as it was" for name in kept if name not in coarse_tensors
    }
    with torch.no_grad():
        for name in report.loaded:
            kept[name].copy_(coarse_tensors[name])
        for name in report.initialised:
            rows = coarse_tensors[name][groups]
            weight = name.removesuffix("bias") + "weight"
            if name.endswith("bias") and weight in report.initialised and kept[weight].ndim > 1:
                rows = rows - torch.bincount(groups)[groups].to(rows.dtype).log()
            kept[name].copy_(rows)
    return report


def _one_row_a_class(fine: torch.Size, coarse: torch.Size, hierarchy: Hierarchy) -> bool:
    expected = len(hierarchy.groups), hierarchy.num_groups
    return len(fine) > 0 and len(coarse) > 0 and (fine[0], coarse[0]) == expected and fine[1:] == coarse[1:]


def _read(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by their names."""
    wanted = "be a file of plain data that loads with weights_only=True"
    state = read_archive(path, _CHECKPOINT, wanted, "Save the state_dict of its module alone.")
    state = state.get("state_dict", state) if isinstance(state, Mapping) else {}
    tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise InvalidValueError(must(_CHECKPOINT, "hold a state dict of tensors", repr(str(path))))
    return tensors


def _same_names(coarse_tensors: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint under the names of the model: as they are, or with one part less or more."""
    fronts = {name.partition(".")[0] + "." for name in coarse_tensors}, {name.partition(".")[0] + "." for name in kept}
    ways = [dict(coarse_tensors)]
    ways += [{name.removeprefix(front): value for name, value in coarse_tensors.items()} for front in sorted(fronts[0])]
    ways += [{front + name: value for name, value in coarse_tensors.items()} for front in sorted(fronts[1])]
    return max(ways, key=lambda way: len(way.keys() & kept.keys()))
