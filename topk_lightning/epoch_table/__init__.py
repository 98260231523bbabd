"""The table of epochs: its columns and notes, its file, its lines in a terminal, and its curves.

A row is a dict of "epoch" (counted from 1), the logged names with their values, and "note"; a table is a list of rows.
"""

from topk_lightning.epoch_table._charts import training_plots
from topk_lightning.epoch_table._columns import known_columns, watched_column
from topk_lightning.epoch_table._curves import draw_accuracies, draw_losses, training_curves
from topk_lightning.epoch_table._files import (
    TABLE_NAME,
    check_table_path,
    find_table,
    read_table,
    training_folders,
    write_table,
)
from topk_lightning.epoch_table._notebook import NotebookPicture, in_notebook, notebook_table
from topk_lightning.epoch_table._notes import note, part_of_epoch
from topk_lightning.epoch_table._terminal import header_line, row_lines, terminal_text
from topk_lightning.epoch_table._values import new_of_training, plain_number

__all__ = [
    "TABLE_NAME",
    "NotebookPicture",
    "check_table_path",
    "draw_accuracies",
    "draw_losses",
    "find_table",
    "header_line",
    "in_notebook",
    "known_columns",
    "new_of_training",
    "note",
    "notebook_table",
    "part_of_epoch",
    "plain_number",
    "read_table",
    "row_lines",
    "terminal_text",
    "training_curves",
    "training_folders",
    "training_plots",
    "watched_column",
    "write_table",
]
