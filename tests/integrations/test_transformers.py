"""compute_metrics of Hugging Face's Trainer: exact accuracies, from counts alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from topk_lightning import topk_accuracy
from topk_lightning.integrations.transformers import TopKComputeMetrics

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("accelerate", reason="accelerate is not installed")


class Identity(nn.Module):
    """Its logits are its inputs."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, pixel_values, labels=None):
        logits = pixel_values + self.bias
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Watched(TopKComputeMetrics):
    rows: list[int]

    def __call__(self, prediction, compute_result=True):
        self.rows.append(len(prediction.predictions))
        return super().__call__(prediction, compute_result)


@pytest.mark.filterwarnings("ignore")  # of transformers and accelerate
@pytest.mark.parametrize("batchwise", [True, False])
def test_the_trainer_logs_the_exact_accuracies(tmp_path, batchwise):
    torch.manual_seed(0)
    logits, target = torch.randn(37, 10).round(), torch.randint(10, (37,))  # with many ties
    rows = [{"pixel_values": row, "labels": label} for row, label in zip(logits, target, strict=True)]
    arguments = transformers.TrainingArguments(
        str(tmp_path), per_device_eval_batch_size=8, batch_eval_metrics=batchwise, report_to=[], use_cpu=True,
        disable_tqdm=True,
    )  # fmt: skip
    measure = Watched(k=(1, 3))
    measure.rows = []
    trainer = transformers.Trainer(Identity(), arguments, eval_dataset=rows, compute_metrics=measure)
    for _ in range(2):  # the second evaluation begins from nothing
        result = trainer.evaluate()
        for k in (1, 3):
            assert result[f"eval_top{k}"] == float(topk_accuracy(logits, target, k))
    assert measure.rows == 2 * ([8, 8, 8, 8, 5] if batchwise else [37])


def test_filled_up_labels_do_not_count():
    logits, labels = torch.eye(4), torch.tensor([0, -100, 1, -100])
    prediction = transformers.EvalPrediction(predictions=(logits.numpy(), None), label_ids=labels.numpy())
    assert TopKComputeMetrics(k=1)(prediction) == {"top1": 1 / 2}


def test_predictions_that_are_none_are_one_sentence():
    prediction = transformers.EvalPrediction(predictions="logits", label_ids=torch.tensor([0]))
    with pytest.raises(TypeError, match=r"^predictions must be a tensor or an array, got str\.$"):
        TopKComputeMetrics()(prediction)
