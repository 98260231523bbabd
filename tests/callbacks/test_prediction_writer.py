"""TopKPredictionWriter: whole files, partial files, many rows, several processes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest
import pytorch_lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from tests.callbacks.modules import CLASSES, MODULES, PACKAGES, Plain, network, rows, trainer
from topk_lightning._checks.callback_error import CallbackError
from topk_lightning.callbacks.prediction_writer import TopKPredictionWriter
from topk_lightning.classifier import TopKClassifier
from topk_lightning.prediction import topk_predictions

NAMES = ["ant", "bee\nwasp", 'cat "tom", grey', "null", "éléphant", "fox"]


class Inputs(Dataset):
    """The inputs alone, as one predicts them."""

    def __init__(self, n=11):
        self.inputs = rows(n).tensors[0]

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        return self.inputs[index]


class WithPaths(Inputs):
    def __getitem__(self, index):
        return self.inputs[index], f"images/{index}.png"


class Listed(Inputs):
    """Keeps its files as torchvision's folders do."""

    def __init__(self, n=11):
        super().__init__(n)
        self.samples = [(f"root/{index}.png", 0) for index in range(n)]


class Predicting(Plain):
    def predict_step(self, batch, batch_idx, dataloader_idx=0):
        return self(batch[0] if isinstance(batch, list) else batch)


def read(path):
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            found = [dict(row) for row in csv.DictReader(file)]
    elif path.suffix == ".jsonl":
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    else:
        found = pyarrow.parquet.read_table(path).to_pylist()
    return [
        (str(row["image"]), int(row["rank"]), row["class"], pytest.approx(float(row["probability"]), rel=1e-5))
        for row in found
    ]


def expected(inputs, k=3, names=NAMES, image=str):
    with torch.no_grad():
        predictions = topk_predictions(network().eval()(inputs), names, k, input="logits")
    return [
        (image(index), rank, one.label, one.probability)
        for index, row in enumerate(predictions)
        for rank, one in enumerate(row, 1)
    ]


def predict(writer, data=None, module=None, **options):
    run = trainer(writer, **options)
    return run.predict(module or Predicting(), DataLoader(Inputs(), batch_size=4) if data is None else data)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("package", PACKAGES)
def test_every_format_holds_every_row_in_order(tmp_path, suffix, package):
    path = tmp_path / "new" / f"predictions{suffix}"
    module = type("Predicting", (MODULES[package],), {"predict_step": Predicting.predict_step})()
    writer = TopKPredictionWriter(str(path), k=3, class_names=NAMES)
    run = package.Trainer(callbacks=writer, accelerator="cpu", logger=False, enable_progress_bar=False)
    assert run.predict(module, DataLoader(Inputs(), batch_size=4)) is None
    assert read(path) == expected(Inputs().inputs)
    assert os.listdir(path.parent) == [path.name]


def test_the_columns_are_named(tmp_path):
    predict(TopKPredictionWriter(tmp_path / "p.csv", k=1))
    assert (tmp_path / "p.csv").read_text().splitlines()[0] == "image,rank,class,probability"
    predict(TopKPredictionWriter(tmp_path / "p.parquet", k=1))
    assert [(one.name, str(one.type)) for one in pyarrow.parquet.read_schema(tmp_path / "p.parquet")] == [
        ("image", "string"), ("rank", "int32"), ("class", "string"), ("probability", "float"),
    ]  # fmt: skip


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_is_named_by_its_path_where_there_is_one(tmp_path, workers):
    path = tmp_path / "p.csv"
    for data, image in [
        (WithPaths(), "images/{}.png".format),
        (Listed(), "root/{}.png".format),
    ]:
        predict(TopKPredictionWriter(path, 3, NAMES), DataLoader(data, batch_size=4, num_workers=workers))
        assert read(path) == expected(data.inputs, image=image)


def test_indices_are_those_of_the_data_set_of_the_loader(tmp_path):
    path, data = tmp_path / "p.jsonl", Listed()
    predict(TopKPredictionWriter(path, 1, NAMES), DataLoader(Subset(data, [7, 3]), batch_size=4))
    assert [image for image, *_ in read(path)] == ["root/7.png", "root/3.png"]
    order = [4, 2, 9, 0]
    predict(TopKPredictionWriter(path, 1, NAMES), DataLoader(Inputs(), batch_size=3, sampler=order))
    assert [json.loads(line)["image"] for line in path.read_text().splitlines()] == order

    class Stream(IterableDataset):
        def __iter__(self):
            return iter(Inputs(5))

    predict(TopKPredictionWriter(path, 1, NAMES), DataLoader(Stream(), batch_size=2))
    assert [json.loads(line)["image"] for line in path.read_text().splitlines()] == [0, 1, 2, 3, 4]


def test_dicts_probabilities_and_named_predictions(tmp_path):
    class Dicts(Predicting):
        def predict_step(self, batch, batch_idx, dataloader_idx=0):
            return {"logits": self(batch)}

    class Probabilities(Predicting):
        def predict_step(self, batch, batch_idx, dataloader_idx=0):
            return self(batch).softmax(1)

    class Named(Predicting):
        class_names = NAMES

        def predict_step(self, batch, batch_idx, dataloader_idx=0):
            return topk_predictions(self(batch), NAMES[::-1], 4, input="logits")

    path = tmp_path / "p.csv"
    predict(TopKPredictionWriter(path, 3, dict(enumerate(NAMES))), module=Dicts())
    assert read(path) == expected(Inputs().inputs)
    predict(TopKPredictionWriter(path, 3, NAMES, input="probabilities"), module=Probabilities())
    assert read(path) == expected(Inputs().inputs)
    predict(TopKPredictionWriter(path, 3), module=Named())
    assert read(path) == expected(Inputs().inputs, names=NAMES[::-1])
    predict(TopKPredictionWriter(path, 3, NAMES), module=Named())
    assert read(path) == expected(Inputs().inputs)
    predict(TopKPredictionWriter(path, 2), module=Predicting())
    assert read(path) == expected(Inputs().inputs, k=2, names=[str(i) for i in range(CLASSES)])


def test_a_classifier_needs_nothing_else(tmp_path):
    model = TopKClassifier("small_cnn", class_names=["a", "b", "c", "d"])
    images = torch.rand(5, 3, 16, 16)
    predict(TopKPredictionWriter(tmp_path / "p.csv", k=3), DataLoader(TensorDataset(images)), module=model)
    with torch.no_grad():
        rows = topk_predictions(model.eval()(images), model.class_names, 3, input="logits")
    assert [(label, p) for _, _, label, p in read(tmp_path / "p.csv")] == [tuple(one) for row in rows for one in row]


def test_several_dataloaders_have_a_column(tmp_path):
    loaders = [DataLoader(Inputs(2)), DataLoader(Inputs(3), batch_size=2)]
    for suffix in (".csv", ".parquet"):
        path = tmp_path / f"p{suffix}"
        predict(TopKPredictionWriter(path, 1), loaders)
        if suffix == ".csv":
            found = [(row["image"], row["dataloader"]) for row in csv.DictReader(path.read_text().splitlines())]
        else:
            found = [(row["image"], str(row["dataloader"])) for row in pyarrow.parquet.read_table(path).to_pylist()]
        assert found == [("0", "0"), ("1", "0"), ("0", "1"), ("1", "1"), ("2", "1")]


def test_predictions_are_kept_when_asked_and_files_replaced(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("old")
    kept = predict(TopKPredictionWriter(path, 1, keep_predictions=True))
    assert torch.cat(kept).shape == (11, CLASSES)
    assert len(read(path)) == 11


def test_two_writers_name_the_images_alike_and_share_no_file(tmp_path):
    paths = tmp_path / "one.csv", tmp_path / "two.jsonl"
    trainer(*(TopKPredictionWriter(path, 3, NAMES) for path in paths)).predict(
        Predicting(), DataLoader(Listed(), batch_size=4)
    )
    wanted = expected(Inputs().inputs, image=lambda index: f"root/{index}.png")
    assert [read(path) for path in paths] == [wanted, wanted]
    names = str(tmp_path / "p.csv"), str(tmp_path / "p.parquet")  # the rows of parquet stand in csv files first
    with pytest.raises(CallbackError) as raised:
        trainer(*(TopKPredictionWriter(name) for name in names)).predict(Predicting(), DataLoader(Inputs()))
    wanted = "path must have a name of its own before the ending for each TopKPredictionWriter, got "
    assert str(raised.value) == f"{wanted}{names[0]!r} and {names[1]!r}."


def test_probabilities_that_are_taken_for_logits_are_told(tmp_path):
    class Softmax(Predicting):
        def predict_step(self, batch, batch_idx, dataloader_idx=0):
            return super().predict_step(batch, batch_idx).softmax(1)

    with pytest.warns(UserWarning, match="predict_step") as warned:
        predict(TopKPredictionWriter(tmp_path / "p.csv", 2), module=Softmax())
    assert [str(w.message) for w in warned if "predict_step" in str(w.message)] == [
        'predict_step must return logits where input is "logits", got rows of probabilities. '
        'Say input="probabilities", or fix predict_step.'
    ]
    predict(TopKPredictionWriter(tmp_path / "p.csv", 2, input="probabilities"), module=Softmax())


def test_an_exception_leaves_the_rows_so_far_and_no_joined_file(tmp_path):
    class Breaks(Predicting):
        def predict_step(self, batch, batch_idx, dataloader_idx=0):
            if batch_idx == 2:
                raise RuntimeError("broken")
            return self(batch)

    path = tmp_path / "p.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="broken"):
        predict(TopKPredictionWriter(path, 3, NAMES), module=Breaks())
    assert os.listdir(tmp_path) == ["p.rank0.csv"]
    assert read(tmp_path / "p.rank0.csv") == expected(Inputs().inputs)[: 8 * 3]


KILLED = """
import sys, torch
from torch.utils.data import DataLoader
from tests.callbacks.test_prediction_writer import Inputs, Predicting, trainer
from topk_lightning.callbacks.prediction_writer import TopKPredictionWriter
trainer(TopKPredictionWriter(sys.argv[1], k=6)).predict(Predicting(), DataLoader(Inputs(4_000_000), batch_size=50))
"""


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_killed_run_leaves_complete_rows(tmp_path, suffix):
    path = tmp_path / f"p{suffix}"
    part = tmp_path / ("p.rank0.jsonl" if suffix == ".jsonl" else "p.rank0.csv")
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", KILLED, str(path)],
        cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while (not part.exists() or part.stat().st_size < 500_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not path.exists()
    assert part.read_bytes().endswith(b"\n")
    found = read(part)
    assert len(found) % 6 == 0
    assert len(found) > 6000
    assert [(image, rank) for image, rank, _, _ in found] == [(str(i // 6), i % 6 + 1) for i in range(len(found))]


class Memory(pytorch_lightning.Callback):
    """Resident memory in MB after a quarter of the batches and at the end."""

    def __init__(self):
        self.sizes = []

    def on_predict_batch_end(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0):
        if batch_idx in (15, 59):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.sizes.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_does_not_grow_with_the_rows(tmp_path):
    class Many(Dataset):
        def __len__(self):
            return 60 * 500

        def __getitem__(self, index):
            return row

        def __getitems__(self, indices):
            return [row] * len(indices)

    class Same(Predicting):
        def predict_step(self, batch, batch_idx, dataloader_idx=0):
            return batch

    row, memory = torch.arange(6.0), Memory()
    # After the quarter come 22 000 images with 6 rows each: about 30 MB as predictions.
    run = trainer(TopKPredictionWriter(tmp_path / "p.csv", k=6), memory)
    run.predict(Same(), DataLoader(Many(), batch_size=500))
    assert memory.sizes[1] - memory.sizes[0] < 3
    drawn = run.predict_dataloaders.batch_sampler.seen_batch_indices
    assert drawn[:-1] == [()] * 59


def refused(tmp_path, outputs, **options):
    class Returns(Predicting):
        def predict_step(self, batch, batch_idx, dataloader_idx=0):
            return outputs

    with pytest.raises(CallbackError) as raised:
        predict(TopKPredictionWriter(tmp_path / "p.csv", **options), module=Returns())
    return str(raised.value)


def test_outputs_that_are_no_predictions(tmp_path):
    wanted = 'predict_step must return logits (N, C), a dict with "logits" or "probabilities", or what topk_predictions returns, got '
    assert refused(tmp_path, torch.zeros(4)) == wanted + "a tensor of shape (4,)."
    assert refused(tmp_path, {"scores": torch.zeros(4, 2)}) == wanted + "nothing."
    assert refused(tmp_path, torch.zeros(3, 9)) == (
        "predict_step must return a row for each of the 4 images of the batch, got 3."
    )
    rows = topk_predictions(torch.zeros(4, 6), None, 2, input="logits")
    assert refused(tmp_path, rows, k=3) == (
        "k must be at most the number of predictions a row, got 3 for rows of 2. Use k=2, or let predict_step return logits."
    )
    with pytest.raises(ValueError, match="k must be at most") as raised:
        predict(TopKPredictionWriter(tmp_path / "p.csv", k=7))
    assert str(raised.value) == "k must be at most the number of classes (6), got 7. Use a smaller k."


def test_options_are_checked(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="path must") as raised:
        TopKPredictionWriter("p.txt")
    assert str(raised.value) == "path must end in .csv, .jsonl, .parquet, got 'p.txt'."
    with pytest.raises(TypeError, match="path must be a text or a Path, got int"):
        TopKPredictionWriter(3)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError) as raised:
        TopKPredictionWriter("p.parquet")
    assert str(raised.value) == (
        'path must end in .csv or .jsonl without pyarrow, got .parquet. Install it with pip install "topk-lightning[parquet]".'
    )


def test_no_rows_make_an_empty_file(tmp_path):
    class Empty(Predicting):
        def predict_step(self, batch, batch_idx, dataloader_idx=0):
            return torch.zeros(0, 6)

    loader = DataLoader([torch.zeros(0, 4)], batch_size=None)
    for suffix in (".csv", ".jsonl", ".parquet"):
        predict(TopKPredictionWriter(tmp_path / f"p{suffix}", 1), loader, module=Empty())
        assert read(tmp_path / f"p{suffix}") == []


def test_a_module_without_its_own_predict_step(tmp_path):
    class Forward(Plain):
        def forward(self, batch):
            return nn.Module.__call__(self.network, batch)

    predict(TopKPredictionWriter(tmp_path / "p.csv", 3, NAMES), module=Forward())
    assert read(tmp_path / "p.csv") == expected(Inputs().inputs)


@pytest.mark.parametrize("spreadsheet_safe", [False, True])
def test_names_of_any_characters_are_read_back_and_formulas_are_texts_where_asked(tmp_path, spreadsheet_safe):
    names = ["=1+1", "a\rb", "c\nd", "@SUM(1)", "e,f", 'g"h']
    path = tmp_path / "predictions.csv"
    writer = TopKPredictionWriter(path, k=CLASSES, class_names=names, spreadsheet_safe=spreadsheet_safe)
    trainer(writer).predict(Plain(), DataLoader(Inputs(), batch_size=4))
    with path.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 11 * CLASSES
    told = {f"'{name}" if spreadsheet_safe and name[0] in "=@" else name for name in names}
    assert {row["class"] for row in table} == told
