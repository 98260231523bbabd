"""The model card of a folder for Hugging Face: what was measured, on what, and where it ends."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from topk_lightning.drawing import visible_text
from topk_lightning.prediction import TrainedModel

__all__ = ["model_card"]

_NAMES_SHOWN = 20
# A path of the machine that trained says nothing to others; its last folder may.
_PATH = re.compile(r"(?:[A-Za-z]:)?[\\/](?:[^\\/:\s]+[\\/])+([^\\/:\s]+)")


def model_card(
    model: TrainedModel, names: Sequence[str], report: Mapping[str, Any] | None, title: str, readers: Sequence[str]
) -> str:
    """Return README.md, with the numbers of report.json where it was measured.

    Args:
        model: what is known of the network.
        names: of the classes.
        report: content of report.json; None: the card says that nothing was measured.
        title: the heading.
        readers: who reads the folder: "timm", "transformers", "topk_lightning".
    """
    weights = sum(parameter.numel() for parameter in model.network.parameters())
    shown = ", ".join(map(_text, names[:_NAMES_SHOWN]))
    more = f" and {len(names) - _NAMES_SHOWN} more, all in config.json" if len(names) > _NAMES_SHOWN else ""
    parts = [
        f"---\n{yaml.safe_dump(_head(report, title, readers), sort_keys=False, allow_unicode=True)}---",
        f"# {_text(title)}",
        f"{_text(model.kind)} with {weights:,} weights. It names one of {len(names):,} classes: {shown}{more}.",
        *_prepared(model),
        "## How good it is",
        *_measured(report),
        "## Limits",
        "\n".join(f"- {sentence}" for sentence in _limits(report, len(names))),
        "## Read it",
        *_reading(readers, title),
    ]
    return "\n\n".join(parts) + "\n"


def _head(report: Mapping[str, Any] | None, title: str, readers: Sequence[str]) -> dict[str, Any]:
    head: dict[str, Any] = {
        "library_name": "timm" if "timm" in readers else "topk-lightning",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "topk-lightning", *(["timm"] if "timm" in readers else [])],
    }
    if report is not None:
        topk = report["sections"]["accuracy"]["topk"]
        metrics = [{"type": "accuracy", "name": f"top-{row['k']} accuracy", "value": row["accuracy"]} for row in topk]
        task = {"type": "image-classification"}
        test = {"type": "images", "name": f"{report['images']['tested']} test images"}
        head["metrics"] = ["accuracy"]
        head["model-index"] = [{"name": title, "results": [{"task": task, "dataset": test, "metrics": metrics}]}]
    return head


def _prepared(model: TrainedModel) -> list[str]:
    prepared = model.preprocessing
    if prepared is None:
        return []
    ways = {"crop": "the shorter side to it, then the centre", "stretch": "both sides to it"}
    way = ways.get(str(prepared.resize), f"the shorter side to {prepared.resize}, then the centre")
    mean, std = ("/".join(f"{value:.3f}" for value in values) for values in (prepared.mean, prepared.std))
    size = f"{prepared.image_size}×{prepared.image_size}"
    return [
        f"Images are {size} pixels ({way}, {prepared.interpolation}), scaled to [0, 1], mean {mean}, deviation {std}. "
        "topk-lightning shows a transparent picture to it on white; other readers may not."
    ]


def _measured(report: Mapping[str, Any] | None) -> Iterator[str]:
    if report is None:
        yield "Not measured: no report.json was given. `topk-lightning report CHECKPOINT` writes one."
        return
    accuracy = report["sections"]["accuracy"]
    yield _text(report["sentence"])
    lines = ["| | accuracy | 95 % interval | by chance |", "|---|---|---|---|"]
    lines += [
        f"| top-{row['k']} | {row['accuracy']:.3f} | {row['low']:.3f} to {row['high']:.3f} | {row['chance']:.3f} |"
        for row in accuracy["topk"]
    ]
    yield "\n".join(lines)
    yield "The intervals are Wilson's, for images drawn as these were."
    facts = {fact["heading"]: fact["text"] for fact in report["sections"]["provenance"]["facts"]}
    kept = [(heading, facts[heading]) for heading in ("Data", "Trained with", "Tested", "Versions") if heading in facts]
    yield "\n".join(f"- **{heading}**: {_text(_without_folders(text))}" for heading, text in kept)


def _limits(report: Mapping[str, Any] | None, num_classes: int) -> Iterator[str]:
    yield f"It names one of its {num_classes:,} classes for every picture, also for a picture of none of them."
    if report is None:
        return
    images = report["images"]
    yield f"The numbers are those of {images['tested']:,} test images; for pictures of another kind they say little."
    if images["trained_on"]:
        yield f"{images['trained_on']:,} of the test images were trained on."
    if images["unreadable"]:
        yield f"{len(images['unreadable']):,} images could not be read and are not counted."
    for finding in report["sections"]["findings"]["findings"]:
        yield _text(finding["sentence"])
    error = report["sections"]["accuracy"].get("calibration_error")
    if error is not None:
        yield f"Its probabilities are off by {error:.3f} on average (expected calibration error)."


def _reading(readers: Sequence[str], title: str) -> Iterator[str]:
    folder = json.dumps(title, ensure_ascii=False)
    if "timm" in readers:
        local = json.dumps(f"local-dir:{title}", ensure_ascii=False)
        yield f"```python\nimport timm\n\nnetwork = timm.create_model({local}, pretrained=True).eval()\n```"
        yield (
            "```python\nfrom transformers import pipeline\n\n"
            f'classify = pipeline("image-classification", {folder}, top_k=5)\n```'
        )
    else:
        yield "timm and transformers do not know this network; the folder is read by topk-lightning alone:"
    yield (
        "```python\nfrom topk_lightning import TrainedModel, predict_topk\n\n"
        f'model = TrainedModel.load({folder})\nprint(predict_topk(model, "picture.jpg"))\n```'
    )


def _without_folders(text: str) -> str:
    return _PATH.sub(r"…/\1", text)


def _text(text: str) -> str:
    """Return a text of the user's data on one line, as Markdown shows it."""
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", visible_text(" ".join(str(text).split())))
