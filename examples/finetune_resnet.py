"""Fine-tune a pretrained ResNet-18: first its new last layer alone, then everything, the backbone with a smaller step.

python examples/finetune_resnet.py                      # the embedded drawings
python examples/finetune_resnet.py --root photos        # your images
python examples/finetune_resnet.py --weights my.pt      # your weights instead of those of ImageNet, which are fetched
"""

from __future__ import annotations

import argparse

import pytorch_lightning as pl
from pytorch_lightning.callbacks import LearningRateMonitor
from pytorch_lightning.loggers import CSVLogger

from topk_lightning import EmojiDataModule, ImageFolderDataModule, TopKClassifier


def main() -> None:
    """Fine-tune and test."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="folder of images, one folder a class; default: the embedded drawings")
    parser.add_argument("--classes", type=int, help="number of emoji; default: all")
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--weights", default="DEFAULT", help='a name of torchvision\'s, a file, or "none"')
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--max-epochs", type=int, default=6)
    parser.add_argument("--freeze-epochs", type=int, default=1)
    parser.add_argument("--out", default="runs/finetune_resnet", help="folder for checkpoints and the log")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--devices", default="auto")
    options = parser.parse_args()

    pl.seed_everything(0, verbose=False)
    size = {"image_size": options.image_size, "batch_size": options.batch_size}
    data: EmojiDataModule | ImageFolderDataModule
    # Pretrained networks expect pixels normalised as in their own training.
    if options.root:
        data = ImageFolderDataModule(options.root, statistics="imagenet", **size)
        data.setup("fit")
    else:
        data = EmojiDataModule(classes=options.classes, statistics="imagenet", **size)

    model = TopKClassifier(
        options.network,
        class_names=data.class_names,
        weights=None if options.weights == "none" else options.weights,
        freeze_backbone_epochs=options.freeze_epochs,
        lr=1e-3,
        backbone_lr=1e-4,
        warmup_steps=20,
    )
    trainer = pl.Trainer(
        max_epochs=options.max_epochs,
        accelerator=options.accelerator,
        devices=options.devices,
        default_root_dir=options.out,
        logger=CSVLogger(options.out),
        callbacks=[LearningRateMonitor("step")],
        log_every_n_steps=1,
    )
    trainer.fit(model, data)
    trainer.test(model, data)


if __name__ == "__main__":
    main()
