"""A network whose scores are easy to compute by hand, data for it, and quiet trainers of either name."""

import lightning.pytorch
import pytorch_lightning
import torch
from torch import nn
from torch.utils.data import TensorDataset

import topk_lightning.classifier
import topk_lightning.lightning

#: Each package with the classifier whose trainer it is.
BOTH = [
    (pytorch_lightning, topk_lightning.classifier.TopKClassifier),
    (lightning.pytorch, topk_lightning.lightning.TopKClassifier),
]


class Tiny(nn.Module):
    def __init__(self, num_classes: int, scale: float = 1.0) -> None:
        super().__init__()
        self.num_classes, self.scale = num_classes, scale
        self.linear = nn.Linear(4, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x.flatten(1)[:, :4]) * self.scale


def rows(n, num_classes=10, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return TensorDataset(torch.randn(n, 4, generator=generator), torch.randint(num_classes, (n,), generator=generator))


def quiet(tmp_path, package=pytorch_lightning, **options):
    defaults = {
        "default_root_dir": tmp_path,
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return package.Trainer(**{**defaults, **options})
