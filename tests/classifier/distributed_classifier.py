"""Trains TopKClassifier in two processes and writes what rank 0 saw: run by test_distributed.py."""

import json
import sys

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from topk_lightning.classifier import TopKClassifier
from topk_lightning.networks import SmallCNN
from topk_lightning.ranking import in_topk

CLASSES = 7


def rows(n: int, seed: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    return TensorDataset(
        torch.rand(n, 3, 16, 16, generator=generator), torch.randint(CLASSES, (n,), generator=generator)
    )


class Watch(pl.Callback):
    """Compares the processes after each epoch, and the logged numbers with one pass over the whole set."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, object]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        own = torch.cat([p.detach().flatten() for p in module.network.parameters()])
        all_ranks = module.all_gather(own)
        backbone = torch.cat([p.detach().flatten() for p in module.network.features.parameters()])
        self.epochs.append(
            {
                "ranks_agree": bool((all_ranks[0] == all_ranks[1]).all()),
                "backbone": backbone.double().sum().item(),
                "head": module.network.head[4].weight.detach().double().sum().item(),
                "mean_of_batch_norm": module.network.features[0][1].running_mean.double().sum().item(),
            }
        )


def expected(module: TopKClassifier, data: TensorDataset, stage: str) -> dict[str, float]:
    images, target = data.tensors
    with torch.no_grad():
        logits = module.eval()(images)
    values = {f"{stage}/top{k}": in_topk(logits, target, k).sum().item() / len(target) for k in (1, 3, 5)}
    return values | {f"{stage}/loss": nn.functional.cross_entropy(logits, target).item()}


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    classifier = TopKClassifier(SmallCNN(CLASSES, width=2), CLASSES, freeze_backbone_epochs=1, lr=0.01)
    before = classifier.network.features[0][0].weight.detach().double().sum().item()
    watch = Watch()
    trainer = pl.Trainer(
        accelerator="cpu", devices=2, strategy="ddp", max_epochs=3, callbacks=[watch], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    validation, test = rows(9, seed=1), rows(11, seed=2)
    trainer.fit(classifier, DataLoader(rows(16, seed=0), batch_size=4), DataLoader(validation, batch_size=4))
    logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
    wanted = expected(classifier, validation, "val")
    (tested,) = trainer.test(classifier, DataLoader(test, batch_size=4), verbose=False)
    several = {name: DataLoader(data, batch_size=4) for name, data in (("day", test), ("night", validation))}
    apart = {name: value for part in trainer.test(classifier, several, verbose=False) for name, value in part.items()}
    if trainer.is_global_zero:
        result = {
            "apart": apart,
            "each": {f"{name}/day": value for name, value in expected(classifier, test, "test").items()}
            | {f"{name}/night": value for name, value in expected(classifier, validation, "test").items()},
            "before": before,
            "epochs": watch.epochs,
            "validated": {name: logged[name] for name in wanted},
            "validation": wanted,
            "tested": tested,
            "test": expected(classifier, test, "test"),
            "logged": sorted(logged),
        }
        with open(sys.argv[1], "w") as file:
            json.dump(result, file)


if __name__ == "__main__":
    main()
