"""Train on a folder of your images, test, and name the best classes of a picture from the checkpoint alone.

The folder is `root/<class>/*` (split for you) or `root/{train,val,test}/<class>/*`:

    python examples/train_on_your_images.py --root photos --image-size 64 --max-epochs 20
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from topk_lightning import ImageFolderDataModule, TopKClassifier, predict_topk


def main() -> None:
    """Train, test with the best checkpoint, predict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder of images, one folder a class")
    parser.add_argument("--network", default="small_cnn", help='or "resnet18", "timm/<model>", an import path')
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-epochs", type=int, default=20)
    parser.add_argument("--out", default="runs/your_images", help="folder for the checkpoint")
    parser.add_argument("--picture", help="image to predict; default: the first of the folder")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--devices", default="auto")
    options = parser.parse_args()

    pl.seed_everything(0, verbose=False)
    data = ImageFolderDataModule(options.root, image_size=options.image_size, batch_size=options.batch_size)
    data.setup("fit")
    print(data.describe())

    model = TopKClassifier(options.network, class_names=data.class_names)
    measured = max(model.k)
    # A metric called val/top5 in a file name would make a folder, so the name is written out here.
    best = ModelCheckpoint(
        dirpath=options.out,
        filename=f"epoch{{epoch}}-top{measured}-{{val/top{measured}:.3f}}",
        auto_insert_metric_name=False,
        monitor=f"val/top{measured}",
        mode="max",
    )
    trainer = pl.Trainer(
        max_epochs=options.max_epochs,
        accelerator=options.accelerator,
        devices=options.devices,
        callbacks=[best],
        logger=False,
        log_every_n_steps=1,
    )
    trainer.fit(model, data)
    trainer.test(model, data, ckpt_path="best")

    if trainer.is_global_zero:
        print(f"best checkpoint: {best.best_model_path}")
        picture = options.picture or next(p for p in sorted(Path(options.root).rglob("*")) if p.is_file())
        print(f"{picture}:")
        for label, probability in predict_topk(best.best_model_path, picture, k=measured):
            print(f"  {probability:.3f} {label}")


if __name__ == "__main__":
    main()
