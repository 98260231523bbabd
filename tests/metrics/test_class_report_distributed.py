"""ClassReport in two real gloo processes, with uneven batches, one of which may see nothing."""

from __future__ import annotations

import warnings

from tests.distributed import run_processes
from tests.metrics.reports import hard_batch
from topk_lightning.findings import findings, grade
from topk_lightning.metrics import ClassReport, _class_counter as counter

ROWS = 61

# Rows of the first process, the others being the second's; classes up to which confusions are a table.
CASES = [(20, 2048), (20, 2), (ROWS, 2048), (ROWS, 2)]


def counted(rows, dense):
    """A report of these rows, in batches of 13."""
    counter.DENSE_CLASSES = dense
    scores, target = hard_batch(ROWS)
    report = ClassReport(7, (1, 3))
    for start in range(rows.start, rows.stop, 13):
        part = slice(start, min(start + 13, rows.stop))
        report.update(scores[part], target[part])
    return report


def said_by(report):
    return {
        "values": {name: value.tolist() for name, value in report.compute().items()},
        "confusions": report.confusions().tolist(),
        "ranks": report.rank_histogram().tolist(),
        "curve": [part.tolist() for part in report.accuracy_curve()],
        "confused": report.most_confused(),
        "nearly": report.nearly_right(),
        "grade": grade(report),
        "findings": [finding.sentence for finding in findings(report)],
    }


def measure(rank, world_size):
    """Return, for each case, what this process says twice, and how many rows of its own it holds afterwards."""
    warnings.filterwarnings("ignore", message=".*was called before the ``update`` method.*")
    found = []
    for share, dense in CASES:
        report = counted(slice(0, share) if rank == 0 else slice(share, ROWS), dense)
        # What was gathered is given back: each process goes on with its own counts, and says the same again.
        found.append((said_by(report), said_by(report), int(report.state("histogram").sum())))
    return found


def test_two_processes_say_what_one_says():
    first, second = run_processes(measure, 2)
    before = counter.DENSE_CLASSES
    try:
        for (share, dense), (said, again, own), (other_said, _, other) in zip(CASES, first, second, strict=True):
            expected = said_by(counted(slice(0, ROWS), dense))
            # Compared as text, since NaN equals nothing.
            assert repr(said) == repr(again) == repr(other_said) == repr(expected)
            assert (own, other) == (share, ROWS - share)
    finally:
        counter.DENSE_CLASSES = before
