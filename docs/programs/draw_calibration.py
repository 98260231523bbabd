"""Scale the probabilities of the demonstration's network, and of its twin without label smoothing, by a temperature.

Run with ``python docs/programs/draw_calibration.py --demo runs/demo/last.ckpt`` after ``topk-lightning demo``: some minutes of
training for the twin, whose logits are kept in ``runs/calibration``. It prints a table and writes it to
``docs/assets/calibration.txt``, and draws ``docs/assets/calibration.svg``.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import matplotlib
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from pytorch_lightning import Trainer, seed_everything
from rich.console import Console
from torch import Tensor, nn

from topk_lightning import CalibrationError, TemperatureScaler, TopKClassifier
from topk_lightning.cli._demo_recipe import demo_classifier, demo_data
from topk_lightning.metrics import ReliabilityCurve

ASSETS = Path(__file__).parents[1] / "assets"
EPOCHS = 30
BLUE, ORANGE = "#0072B2", "#D55E00"
SPLITS = {"validation (noto-v1)": "val", "test (emojione)": "test"}

Outputs = dict[str, tuple[Tensor, Tensor]]


def outputs_of(model: TopKClassifier) -> Outputs:
    """Return logits and targets of the validation and the test images."""
    data = demo_data(None, 0)
    data.setup("test")
    data.setup("fit")
    model.eval()
    outputs: Outputs = {}
    with torch.inference_mode():
        for split, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
            batches = [(model(images), target) for images, target in loader]
            outputs[split] = (
                torch.cat([logits for logits, _ in batches]),
                torch.cat([target for _, target in batches]),
            )
    return outputs


def twin_outputs(kept: Path) -> Outputs:
    """Return what the demonstration's network says when it was trained without label smoothing."""
    if not kept.is_file():
        seed_everything(0, verbose=False)
        data = demo_data(None, 0)
        model = demo_classifier(data, EPOCHS)
        model.loss = nn.CrossEntropyLoss()
        options: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        Trainer(accelerator="cpu", max_epochs=EPOCHS, enable_model_summary=False, **options).fit(model, data)
        kept.parent.mkdir(parents=True, exist_ok=True)
        torch.save(outputs_of(model), kept)
    found: Outputs = torch.load(kept)
    return found


def curve_of(logits: Tensor, target: Tensor, k: int = 1) -> ReliabilityCurve:
    """Return the reliability curve in ten bins."""
    metric = CalibrationError(10, k=k)
    metric.update(logits, target)
    return metric.curve()


def rows_of(name: str, outputs: Outputs, scaler: TemperatureScaler) -> list[str]:
    """Return rows of a Markdown table: each split before and after."""
    lines = []
    for split, key in SPLITS.items():
        logits, target = outputs[key]
        for when, scores in (("before", logits), (f"T = {float(scaler.temperature):.2f}", scaler(logits))):
            loss = nn.functional.cross_entropy(scores, target).item()
            one, five = curve_of(scores, target), curve_of(scores, target, 5)
            numbers = (one.error, one.overconfidence, five.error)
            cells = [name, split, when, f"{loss:.3f}", f"{numbers[0]:.3f}", f"{numbers[1]:+.3f}", f"{numbers[2]:.3f}"]
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def draw(axes: Axes, before: ReliabilityCurve, after: ReliabilityCurve) -> None:
    """Draw accuracy against confidence, with Wilson's intervals."""
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=":", label="confidence = accuracy")
    for curve, colour, marker, dash, label in (
        (before, ORANGE, "s", "--", "before"),
        (after, BLUE, "o", "-", "after"),
    ):
        seen = curve.count > 0
        x, y = curve.confidence[seen], curve.accuracy[seen]
        errors = torch.stack([y - curve.low[seen], curve.high[seen] - y]).clamp(min=0).numpy()
        label = f"{label}: ECE {curve.error:.3f}"
        axes.errorbar(
            x, y, errors, color=colour, marker=marker, linestyle=dash, label=label, elinewidth=0.8, markersize=4
        )
    axes.set(xlabel="confidence", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(frameon=False, loc="lower right", fontsize=8)


def main() -> None:
    """Train what is not there yet, measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--demo", type=Path, default=Path("runs/demo/last.ckpt"), help="checkpoint of the demonstration"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/calibration"), help="folder of the twin's logits")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    both_outputs = {
        "cross entropy": twin_outputs(options.out / "cross_entropy.pt"),
        "label smoothing 0.1": outputs_of(TopKClassifier.load_from_checkpoint(options.demo, map_location="cpu")),
    }
    heads = ["trained with", "images", "", "NLL", "ECE", "confidence − accuracy", "ECE of the top 5"]
    lines = ["| " + " | ".join(heads) + " |", "|---|---|---|" + "---:|" * 4]
    figure, both = plt.subplots(1, 2, figsize=(9, 4.4), sharey=True, layout="constrained")
    for axes, (name, outputs) in zip(both, both_outputs.items(), strict=True):
        scaler = TemperatureScaler().fit(*outputs["val"])
        lines += rows_of(name, outputs, scaler)
        logits, target = outputs["test"]
        draw(axes, curve_of(logits, target), curve_of(scaler(logits), target))
        axes.set_title(f"{name}, T = {float(scaler.temperature):.2f}", fontsize=10)
    both[0].set_ylabel("accuracy (test drawings)")
    figure.savefig(ASSETS / "calibration.svg")
    text = "\n".join([*lines, "", f"462 emoji, {EPOCHS} epochs, seed 0, ten bins.", ""])
    (ASSETS / "calibration.txt").write_text(text, encoding="utf-8")
    Console().print(text, markup=False, soft_wrap=True)


if __name__ == "__main__":
    matplotlib.use("Agg")
    # The same bytes on every run.
    matplotlib.rcParams["svg.hashsalt"] = "topk-lightning"
    matplotlib.rcParams["axes.spines.top"] = matplotlib.rcParams["axes.spines.right"] = False
    main()
