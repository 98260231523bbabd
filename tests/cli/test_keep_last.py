"""The best score so far is known after a resume, wherever the run lies by then."""

import shutil

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from topk_lightning.cli._keep_last import KeepLast, WholeCheckpointIO

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*number of training batches:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
]

LOSSES = [3.0, 1.0, 2.0, 0.5]


class Told(pl.LightningModule):
    """Has these losses, whatever it learns."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch).sum()

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", torch.tensor(LOSSES[self.current_epoch]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def train(folder, epochs, resumed=None):
    best = ModelCheckpoint(folder, "best", monitor="val/loss", enable_version_counter=False)
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, max_epochs=epochs, logger=False, plugins=[WholeCheckpointIO()], num_sanity_val_steps=0,
        callbacks=[best, KeepLast(folder)], enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    data = DataLoader(torch.ones(2, 1), batch_size=1)
    trainer.fit(Told(), data, data, ckpt_path=resumed, weights_only=True)
    return (
        best.best_model_path,
        best.best_model_score.item(),
        torch.load(folder / "best.ckpt", weights_only=True)["epoch"],
    )


@pytest.mark.parametrize("moved", [False, True])
def test_a_worse_epoch_after_a_resume_is_not_the_best(tmp_path, moved):
    folder = tmp_path / "run"
    train(folder, 2)
    if moved:
        folder = folder.rename(tmp_path / "archive")
    assert train(folder, 3, folder / "last.ckpt") == (str(folder / "best.ckpt"), 1.0, 1)
    assert train(folder, 4, folder / "last.ckpt") == (str(folder / "best.ckpt"), 0.5, 3)


@pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning")
def test_in_a_folder_of_its_own_a_training_that_goes_on_has_a_best_of_its_own(tmp_path):
    train(tmp_path / "run", 2)
    kept = shutil.copy(tmp_path / "run" / "last.ckpt", tmp_path / "last.ckpt")
    assert train(tmp_path / "new", 3, kept) == (str(tmp_path / "new" / "best.ckpt"), 2.0, 2)
    assert torch.load(tmp_path / "run" / "best.ckpt", weights_only=True)["epoch"] == 1
