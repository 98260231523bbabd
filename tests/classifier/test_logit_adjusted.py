"""A loss for unequal classes takes their counts from the data that it is trained on."""

from __future__ import annotations

import pytorch_lightning as pl

from topk_lightning import EmojiDataModule, LogitAdjustedCrossEntropyLoss, TopKClassifier


def test_class_counts_come_from_the_data_module_and_stay_in_the_checkpoint(tmp_path):
    data = EmojiDataModule(image_size=16, batch_size=8, classes=3)
    model = TopKClassifier("small_cnn", num_classes=3, loss=LogitAdjustedCrossEntropyLoss())
    trainer = pl.Trainer(
        default_root_dir=tmp_path,
        max_steps=1,
        limit_val_batches=1,
        logger=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(model, datamodule=data)
    assert model.loss.class_counts.tolist() == data.class_counts("train")
    restored = TopKClassifier.load_from_checkpoint(model.save(tmp_path / "model.ckpt"))
    assert restored.loss.class_counts.tolist() == data.class_counts("train")
