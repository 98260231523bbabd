"""Train on several machines: the same command on each, started by torchrun.

On host 0 and host 1 (any number of hosts and of processes a host), with the address of host 0:

    torchrun --nnodes 2 --node-rank 0 --nproc-per-node 8 --master-addr HOST0 --master-port 29500 examples/multi_node.py
    torchrun --nnodes 2 --node-rank 1 --nproc-per-node 8 --master-addr HOST0 --master-port 29500 examples/multi_node.py

To try it on one machine, give both commands ``--nproc-per-node 1 --master-addr localhost`` and ``--accelerator cpu``. Slurm,
Kubernetes (PyTorchJob) and Ray start the same program their own way. Nothing in it is about a host but `num_nodes`.
"""

from __future__ import annotations

import argparse
import datetime
import os
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy

from topk_lightning import EmojiDataModule, TopKClassifier


def hosts_and_processes() -> tuple[int, int]:
    """Return how many hosts there are and how many processes each has, as torchrun says."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        raise SystemExit("Start it with torchrun, on each host; see the first lines of this file.")
    world, here = (int(os.environ[name]) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    return world // here, here


def strategy(name: str, seconds: float) -> Any:
    """Return DDP, or FSDP where there is a GPU; a process that waits so long for another ends with an error."""
    wait = datetime.timedelta(seconds=seconds)
    if name == "ddp":
        return DDPStrategy(timeout=wait)
    if not torch.cuda.is_available():
        raise SystemExit("--strategy fsdp must run on a GPU, got none. Use --strategy ddp.")
    return FSDPStrategy(timeout=wait)


def main() -> None:
    """Train and test on embedded drawings; the first process prints the test of all images, each counted once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-epochs", type=int, default=5)
    parser.add_argument("--classes", type=int, default=40, help="number of emoji")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--strategy", choices=["ddp", "fsdp"], default="ddp")
    parser.add_argument("--timeout", type=float, default=600, help="seconds to wait for another process")
    parser.add_argument("--accelerator", default="auto")
    options = parser.parse_args()

    num_nodes, devices = hosts_and_processes()
    pl.seed_everything(0, verbose=False)
    data = EmojiDataModule(classes=options.classes, image_size=options.image_size, batch_size=32)
    model = TopKClassifier("small_cnn", class_names=data.class_names, lr=1e-3, k=[1, 5])
    trainer = pl.Trainer(
        num_nodes=num_nodes,
        devices=devices,
        strategy=strategy(options.strategy, options.timeout),
        max_epochs=options.max_epochs,
        accelerator=options.accelerator,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data)
    # On every process: the counts are joined.
    trainer.test(model, data, verbose=False)
    if trainer.is_global_zero:
        print(f"{num_nodes} hosts, {trainer.world_size} processes, {len(data.targets('test'))} test images")
        for name in ("test/top1", "test/top5"):
            print(f"{name} {float(trainer.callback_metrics[name]):.6f}")


if __name__ == "__main__":
    main()
