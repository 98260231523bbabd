"""The table of epochs: columns by the names people use, notes, lines that fit a terminal, files read back equal."""

import json
import math

import pytest

from topk_lightning.epoch_table import (
    find_table,
    header_line,
    known_columns,
    note,
    read_table,
    row_lines,
    training_plots,
    watched_column,
    write_table,
)


def table(**columns):
    names = {"train": "train/loss", "val": "val/loss", "top": "val/top5"}
    return [
        {"epoch": epoch, **{names[name]: value for name, value in zip(columns, values, strict=True)}}
        for epoch, values in enumerate(zip(*columns.values(), strict=True), 1)
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (table(top=[0.1]), ""),
        (table(top=[0.1, 0.2]), "best so far"),
        (table(top=[0.1, 0.2, 0.2]), ""),  # as good is not better
        (table(top=[0.1, 0.2, 0.2, 0.1]), ""),
        (table(top=[0.1, 0.2, 0.2, 0.1, 0.1]), "plateau since 2"),
        (table(train=[3, 2, 1, 0.5], val=[2, 2.1, 2.2, 2.3], top=[0.1, 0.1, 0.1, 0.1]), "overfitting since 1"),
        (table(train=[3, 2, 1, 0.5], val=[2, 2.1, 2.2, 2.3], top=[1, 2, 3, 4]), "best so far; overfitting since 1"),
        (table(train=[3, 3, 3, 3], val=[2, 2.1, 2.2, 2.3], top=[0.1, 0.1, 0.1, 0.1]), "plateau since 1"),
        # A rise within 2 % is noise.
        (table(train=[3, 2, 1, 0.5], val=[2, 2.01, 2.02, 2.03], top=[0.1, 0.1, 0.1, 0.1]), "plateau since 1"),
        (table(top=[0.3, None, None, None, None]), ""),  # nothing was measured
        (table(top=[0.3, None, 0.2, None, 0.2, None, 0.1]), "plateau since 1"),
        (table(val=[1, float("inf")]), "val loss is not finite: training has diverged"),
    ],
)
def test_note(rows, expected):
    assert note(rows, "val/top5", patience=3) == expected


def test_columns_are_found_by_the_names_that_people_use():
    logged = ["valid_top_5", "train_loss", "train_loss_step", "val_acc", "valid_loss", "valid_top_1", "epoch"]
    assert known_columns(logged) == ["train_loss", "valid_loss", "valid_top_1", "valid_top_5"]
    logged = ["val/top1", "val/coarse_top3", "val/coarse_top1", "loss", "loss_epoch", "test/top1", "temperature", "k"]
    assert known_columns(logged) == [
        "loss_epoch",
        "val/top1",
        "val/coarse_top1",
        "val/coarse_top3",
        "temperature",
        "k",
    ]


def test_each_of_several_validation_loaders_has_its_columns_and_the_first_decides():
    logged = ["val/top5/night", "val/top1/day", "val/top5/day", "val/loss/night", "val/loss/day", "train/loss"]
    columns = known_columns(logged)
    assert columns == ["train/loss", "val/loss/day", "val/loss/night", "val/top1/day", "val/top5/day", "val/top5/night"]
    assert watched_column(columns) == "val/top5/day"
    assert watched_column(["train/loss", "val/loss/day", "val/loss/night"]) == "val/loss/day"
    assert known_columns(["val/top1/dataloader_idx_1", "val/top1/dataloader_idx_0"])[0] == "val/top1/dataloader_idx_0"


@pytest.mark.parametrize("width", [12, 30, 40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width):
    columns = ["train/loss", "val/loss", "val/top1", "val/top3", "val/top5", "temperature", "k", "lr"]
    row = {"epoch": 7, **dict.fromkeys(columns, 0.5), "note": "best so far"}
    lines = [*str(row_lines(row, columns, width)).splitlines(), str(header_line(columns, width))]
    without_note = [line for line in lines if "best" not in line]
    assert max(map(len, without_note)) <= width
    if width >= 30:
        assert max(map(len, lines)) <= width
    assert any("7" in line for line in lines)
    if width >= 80:  # the note stands beside its row, if need be in place of the learning rate
        assert len(lines) == 2


def test_the_curves_of_a_training_leave_out_what_was_not_measured():
    rows = [
        {"epoch": 1, "train/loss": 2.0, "val/loss": 3.0, "val/top1": 0.1},
        {"epoch": 2, "train/loss": 1.0, "val/top1": 0.2},
        {"epoch": 3, "train/loss": float("nan"), "val/loss": 2.5, "val/top1": 0.3},
    ]
    losses, accuracies = training_plots(rows)
    assert [line.label for line in losses.lines] == ["train loss", "val loss"]
    assert losses.rows == [("1", "2.000", "3.000"), ("2", "1.000", "–"), ("3", "–", "2.500")]
    assert accuracies.rows == [("1", "0.100"), ("2", "0.200"), ("3", "0.300")]
    assert training_plots([]) == training_plots([{"epoch": 1, "note": ""}]) == []
    assert len(training_plots(rows[:1])) == 2  # one epoch is a point


def test_the_epoch_table_is_found_where_a_training_leaves_it(tmp_path):
    checkpoints = tmp_path / "lightning_logs" / "version_0" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (tmp_path / "epochs.csv").write_text("epoch\n")
    assert find_table(checkpoints / "last.ckpt") == tmp_path / "epochs.csv"
    (checkpoints.parent / "epochs.csv").write_text("epoch\n")
    assert find_table(checkpoints / "last.ckpt") == checkpoints.parent / "epochs.csv"
    elsewhere = tmp_path / "models"
    elsewhere.mkdir()
    assert find_table(elsewhere / "last.ckpt") is None


ROWS = [
    {"epoch": 1, "train/loss": 2.5, "k": 5, "lr": 1e-3, "note": ""},
    {"epoch": 2, "train/loss": 1.25, "val/top5": 0.9, "k": 3, "lr": 1.5e-07, "note": "best so far; plateau, since 1"},
]


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_a_table_is_read_back_as_it_was_written(tmp_path, suffix):
    path = tmp_path / f"epochs{suffix}"
    columns = ["train/loss", "val/top5", "k", "lr"]
    write_table(path, ROWS, columns)
    assert read_table(path) == ROWS
    assert all(type(row["k"]) is int for row in read_table(path))
    write_table(path, [], columns)
    assert read_table(path) == []
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_value_that_is_not_finite_is_nan_in_csv_and_left_out_in_json(tmp_path):
    row = {"epoch": 1, "train/loss": math.nan, "note": "train loss is not finite: training has diverged"}
    write_table(tmp_path / "epochs.csv", [row], ["train/loss"])
    (again,) = read_table(tmp_path / "epochs.csv")
    assert math.isnan(again["train/loss"])
    write_table(tmp_path / "epochs.json", [row], ["train/loss"])
    assert json.loads((tmp_path / "epochs.json").read_text())[0]["train/loss"] is None
    assert read_table(tmp_path / "epochs.json") == [{"epoch": 1, "note": row["note"]}]


OTHERS = ["", "a,b\n1,2\n", "epoch,k\n1\n", "epoch\none\n", "{broken", '{"epoch": 1}', '[{"epoch": "x"}]', "\x00"]


@pytest.mark.parametrize("text", OTHERS)
@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_a_file_of_something_else_is_refused_by_name(tmp_path, text, suffix):
    path = tmp_path / f"epochs{suffix}"
    path.write_text(text)
    with pytest.raises(ValueError, match="epoch_table") as refused:
        read_table(path)
    assert (
        str(refused.value) == f"epoch_table must be a .csv or .json file that TrainingTrace wrote, got {str(path)!r}."
    )
