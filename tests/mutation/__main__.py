"""Change the code in one place, run its tests, and tell which changes no test noticed: ``python -m tests.mutation``.

The tests are collected once; each mutant is put into the functions that stand there already, in a process forked off.
What runs when a module is imported takes an interpreter of its own. What survives is killed by a new test or stands in
``survivors.txt`` with its reason; a survivor that does not is status 1.

A library for this would be better than files of ours. mutmut puts functions behind calls of its own, which break the tests
of compiled and scripted code; cosmic-ray imports torch for each mutant.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.putting_in import imports_mutant, put_in

SURVIVORS = Path(__file__).with_name("survivors.txt")
# The laws of all losses, for one of them: the base is the same for each.
SOME_LOSSES = ["-k", "test_base or (SVM and logits) or alone"]
# Scores whose classes are shared out, in the process that has the mutant.
SHARDED = "tests/test_class_shards.py::test_a_group_of_this_process_alone_has_all_classes"
#: Each file and the tests that have to notice a change in it.
TARGETS = {
    "topk_lightning/ranking.py": ["tests/test_ranking.py", "tests/metrics/test_topk_accuracy.py", SHARDED],
    "topk_lightning/metrics/_counting.py": ["tests/metrics/test_counting.py", "tests/metrics/test_topk_accuracy.py", "tests/metrics/test_topk_accuracies.py", "tests/metrics/test_contract.py", SHARDED],
    "topk_lightning/losses/_base.py": ["tests/losses/test_base.py", "tests/losses/test_contract.py", SHARDED, *SOME_LOSSES],
    "topk_lightning/losses/_reduce.py": ["tests/losses/test_base.py", "tests/losses/test_contract.py", SHARDED, *SOME_LOSSES],
    "topk_lightning/classifier/_steps.py": [f"tests/classifier/test_{name}.py" for name in ("classifier", "stages", "class_match", "soft_targets", "classes_of_data", "training_data", "logit_adjusted", "any_network", "checkpoint")],
}  # fmt: skip
#: Functions that have done their work once a module is imported.
AT_IMPORT = ("module", "loss_function", "loss_function.function", "ClassificationLoss.__init_subclass__")
QUIET = ["-x", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider"]


class QuickFailures:
    """What fails need not become small."""

    def pytest_sessionstart(self) -> None:
        import hypothesis

        phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
        hypothesis.settings.register_profile("mutation", phases=phases, database=None, deadline=None, max_examples=25)
        hypothesis.settings.load_profile("mutation")


class Mutations(QuickFailures):
    """In the place of pytest's loop over the tests: that loop once for each mutant."""

    def __init__(self, path: str, chosen: list[Mutant]) -> None:
        self.path, self.chosen = path, chosen
        self.results: list[tuple[Mutant, str]] = []
        self._durations: dict[str, float] = {}
        self._killers: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        started = time.monotonic()
        if not self._forked(session, None, 1200):
            raise pytest.UsageError(f"the tests of {self.path} fail as it is")
        within = 60 + 5 * (time.monotonic() - started)
        for mutant in self.chosen:
            # What noticed the changes before notices most, so it comes first, and then the quick tests.
            last = {name: place for place, name in enumerate(self._killers)}
            session.items.sort(key=lambda item: (-last.get(item.nodeid, -1), self._durations.get(item.nodeid, 0.0)))
            # A method without its only super() has another closure, which a function that stands already cannot take.
            body = mutant.function.rpartition(".")[2][:1].isupper()  # of a class
            at_import = body or mutant.function in AT_IMPORT or "super()" in mutant.key
            survived = imported(self.path, mutant) if at_import else self._forked(session, mutant, within)
            tell(self.path, mutant, survived, self.results)
        if not self._forked(session, None, 1200):
            raise pytest.UsageError(f"the tests of {self.path} fail in the order in which they stand now")
        return True

    def _forked(self, session: pytest.Session, mutant: Mutant | None, within: float) -> bool:
        """Return whether every test passes, in a process of its own."""
        with tempfile.NamedTemporaryFile("r", suffix=".txt") as file:
            child = os.fork()
            if child == 0:
                self._run(session, mutant, file.name)
            deadline = time.monotonic() + within
            while time.monotonic() < deadline:
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    lines = (line.split(maxsplit=1) for line in file)
                    took = {name.strip(): float(seconds) for seconds, name in lines}
                    self._durations.update(took)
                    self._killers += list(took)[-1:] if status else []
                    return status == 0
                time.sleep(0.01)
            os.killpg(child, 9)
            os.waitpid(child, 0)
            return False

    def _run(self, session: pytest.Session, mutant: Mutant | None, durations: str) -> None:
        status = 1
        try:
            os.setpgrp()
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            if mutant is not None:
                put_in(self.path, mutant.code)
            with open(durations, "w") as file:
                for item, after in zip(session.items, [*session.items[1:], None], strict=True):
                    started = time.monotonic()
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
                    file.write(f"{time.monotonic() - started} {item.nodeid}\n")
                    if session.testsfailed:
                        break
            status = int(session.testsfailed > 0)
        finally:
            os._exit(status)


def imported(path: str, mutant: Mutant) -> bool:
    """Return whether every test passes where the mutant is there from the first import on."""
    command = [sys.executable, "-m", "tests.mutation", "--only", path, "--imported", mutant.key]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def tell(path: str, mutant: Mutant, survived: bool, results: list[tuple[Mutant, str]]) -> None:
    result = "killed" if not survived else "known" if f"{path} {mutant.key}" in reasons() else "survived"
    results.append((mutant, result))
    print(f"{result} line {mutant.line} {path} {mutant.key}", file=sys.stderr, flush=True)


def reasons() -> dict[str, str]:
    """Return the survivors that are known, each with its reason: the line above them that begins with a #."""
    known, reason = {}, ""
    for line in SURVIVORS.read_text(encoding="utf-8").splitlines() if SURVIVORS.exists() else []:
        if line.startswith("# "):
            reason = line[2:]
        elif line:
            known[line] = reason
    return known


def chosen(path: str, key: str) -> Iterator[Mutant]:
    return (mutant for mutant in mutants(Path(path).read_text(encoding="utf-8"), path) if key in mutant.key)


def main() -> int:
    """Return 0 if every mutant was noticed or is known with its reason."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="files whose path holds this")
    parser.add_argument("--key", default="", help="mutants whose key holds this")
    parser.add_argument("--skip", type=int, default=0, help="so many mutants of the file")
    parser.add_argument("--imported", default="", help="this mutant alone, imported")
    options = parser.parse_args()
    paths = [path for path in TARGETS if options.only in path]
    if options.imported:
        (mutant,) = (each for each in chosen(paths[0], "") if each.key == options.imported)
        imports_mutant(paths[0], mutant.code)
        return int(pytest.main([*QUIET, *TARGETS[paths[0]]], plugins=[QuickFailures()]))
    counts: Counter[str] = Counter()
    for path in paths:
        if len(paths) > 1:  # each in a process of its own: pytest collects once
            command = [sys.executable, "-m", "tests.mutation", "--only", path, "--key", options.key]
            counts["files that failed"] += int(subprocess.run(command).returncode != 0)
            continue
        run = Mutations(path, list(chosen(path, options.key))[options.skip :])
        pytest.main([*QUIET, *TARGETS[path]], plugins=[run])
        counts.update(result for _, result in run.results)
        print(f"{path}: {len(run.results)} of {len(run.chosen)} mutants, {dict(counts)}", flush=True)
        counts["files that failed"] += int(counts["survived"] > 0 or len(run.results) < len(run.chosen))
    return int(counts["files that failed"] > 0)


if __name__ == "__main__":
    sys.exit(main())
