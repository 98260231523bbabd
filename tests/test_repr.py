"""What objects of the library say they are: the call that makes them, and in a notebook their tables and pictures."""

from __future__ import annotations

import html.parser

import pytest
import torch

import topk_lightning as tl
from tests.data.drawings import class_folders
from topk_lightning._repr import described, html_table

CALLS = [
    "TopKAccuracy(k=5)",
    "TopKAccuracy(k=2, num_classes=4, average='macro')",
    "TopKAccuracies(k=(1, 3))",
    "CalibrationError(num_bins=10)",
    "MultilabelTopKAccuracy(k=3)",
    "TopKMonitor()",
    "TrainingTrace(path='a.csv')",
    "TopKPredictionWriter(path='x.csv')",
    "EmojiDataModule(image_size=32, classes=6)",
]


class Tags(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("call", CALLS)
def test_it_says_the_call_that_makes_it(call):
    made = eval(call, vars(tl) | {name: getattr(tl, name) for name in tl.__all__})
    assert repr(made) == call
    assert str(made) == call


def test_every_callback_says_its_name():
    for made in (tl.KAnnealing(at=(0, 0.5, 0.8)), tl.TemperatureAnnealing(), tl.CoarseToFine([0, 0, 1])):
        assert repr(made).startswith(f"{type(made).__name__}(")


def test_a_long_value_is_cut_to_one_line():
    assert len(described(tl.CoarseToFine(list(range(1000))))) < 200


def test_a_metric_shows_its_values_by_class_in_a_notebook():
    report = tl.ClassReport(3, class_names=["cat", "dog & co", "owl"])
    assert "nothing counted" in report._repr_html_()
    report.update(torch.eye(3), torch.tensor([0, 1, 1]))
    page = Tags(report._repr_html_())
    assert page.found.count("table") == 2
    assert "dog & co" in page.text
    assert "0.667" in page.text  # accuracy: 2 of 3
    several = tl.TopKAccuracies((1, 2))
    assert Tags(several._repr_html_()).found == ["p"]
    several.update(torch.eye(3), torch.tensor([0, 1, 1]))
    assert "top2" in Tags(several._repr_html_()).text


def test_a_data_module_shows_its_counts_and_some_pictures(tmp_path):
    data = tl.ImageFolderDataModule(class_folders(tmp_path, {"a": 8, "b": 8}), 16)
    assert "not set up" in data._repr_html_()  # nothing is read for a look
    data.setup()
    page = Tags(data._repr_html_())
    assert {"table", "img"} <= set(page.found)
    assert "2 classes, 16 images" in page.text


def test_a_trace_shows_its_layers_and_the_best_classes():
    trace = tl.trace_prediction(tl.SmallCNN(4), torch.rand(3, 32, 32), ["ant", "bee", "cat", "dog"], 2, target="cat")
    page = Tags(trace._repr_html_())
    assert {"table", "img"} <= set(page.found)
    assert "AdaptiveAvgPool2d" in page.text
    assert trace.verdict in page.text
    assert repr(trace).startswith("PredictionTrace(SmallCNN, 19 layers, TopKPrediction(label=")


def test_a_table_of_many_rows_says_how_many_more_there_are():
    assert html_table(["n"], [[n] for n in range(60)]).endswith("</table><p>… and 10 more.</p>")
