"""Train on a Ray cluster: Ray starts the processes, Lightning trains, the counts of all workers are joined.

    pip install "topk-lightning[ray]"
    python examples/ray_train.py --workers 2

Without a cluster Ray starts one on this machine. On a cluster, run it from the head node (or ``ray job submit``), with
``--gpu`` for one GPU a worker. Ray takes ``lightning.pytorch`` where it is installed, else ``pytorch_lightning``: so does this.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from typing import Any

try:
    import ray
    import ray.train
    from ray.train.lightning import RayDDPStrategy, RayLightningEnvironment, RayTrainReportCallback, prepare_trainer
    from ray.train.torch import TorchTrainer
except ModuleNotFoundError:
    sys.exit('ray must be installed with its part for training, got none. Run pip install "topk-lightning[ray]".')

NEW = importlib.util.find_spec("lightning") is not None


def train(options: dict[str, Any]) -> None:
    """Train in one worker of Ray; all workers report the metrics of all images."""
    pl = importlib.import_module("lightning.pytorch" if NEW else "pytorch_lightning")
    home: Any = importlib.import_module("topk_lightning.lightning" if NEW else "topk_lightning")
    pl.seed_everything(0, verbose=False)
    data = home.EmojiDataModule(classes=options["classes"], image_size=options["image_size"], batch_size=32)
    model = home.TopKClassifier("small_cnn", class_names=data.class_names, lr=1e-3, k=[1, 5])
    trainer = prepare_trainer(
        pl.Trainer(
            max_epochs=options["max_epochs"],
            accelerator="auto",
            devices="auto",
            strategy=RayDDPStrategy(),  # type: ignore[no-untyped-call]
            plugins=[RayLightningEnvironment()],  # type: ignore[no-untyped-call]
            callbacks=[RayTrainReportCallback()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    )
    trainer.fit(model, data)


def main() -> Any:
    """Train, and print the last validation and where the checkpoint lies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpu", action="store_true", help="one GPU a worker")
    parser.add_argument("--max-epochs", type=int, default=5)
    parser.add_argument("--classes", type=int, default=40, help="number of emoji")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--storage", help="a folder that all hosts see, for checkpoints; ~/ray_results if not said")
    options = parser.parse_args()
    trainer = TorchTrainer(
        train,
        train_loop_config=vars(options),
        scaling_config=ray.train.ScalingConfig(num_workers=options.workers, use_gpu=options.gpu),
        run_config=ray.train.RunConfig(storage_path=options.storage),
    )
    result: Any = trainer.fit()
    for name in ("val/top1", "val/top5"):
        print(f"{name} {result.metrics[name]:.3f} of {options.workers} workers")
    print(f"checkpoint: {result.checkpoint.path}/{RayTrainReportCallback.CHECKPOINT_NAME}")
    return result


if __name__ == "__main__":
    main()
