"""Try every property in turn, each round under a new seed, until the time is over: ``python -m tests.fuzz --minutes 10``.

What fails is printed with its smallest example, and its seed is kept in ``seeds.txt``, whose seeds are tried first.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, seed, settings

import tests.fuzz

SEEDS = Path(__file__).with_name("seeds.txt")
settings.register_profile(
    "fuzz", max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile("fuzz")


def properties():
    """Return every function ``every_…`` of this package by its name."""
    modules = [name for _, name, _ in pkgutil.iter_modules(tests.fuzz.__path__) if not name.startswith("_")]
    contents = [vars(importlib.import_module(f"tests.fuzz.{name}")) for name in sorted(modules)]
    return {name: value for content in contents for name, value in content.items() if name.startswith("every_")}


def holds(law, number, counts):
    """Try a property with one seed; what it raises is printed."""
    inner = law.hypothesis.inner_test
    calls = Counter()

    def counted(*arguments, **options):
        calls["examples"] += 1
        return inner(*arguments, **options)

    law.hypothesis.inner_test = counted
    try:
        seed(number)(law)()
    except Exception:
        traceback.print_exc()
        return False
    finally:
        law.hypothesis.inner_test = inner
        counts[law.__name__] += calls["examples"]
    return True


def main() -> int:
    """Return 0 if every property held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="of processor time (default: 10)")
    parser.add_argument("--only", default="", help="properties whose name holds this")
    parser.add_argument("--seed", type=int, default=None, help="the first seed (default: that of the clock)")
    options = parser.parse_args()
    laws = {name: law for name, law in properties().items() if options.only in name}
    known = [line.split() for line in SEEDS.read_text().splitlines()] if SEEDS.exists() else []
    first = time.time_ns() // 10**9 if options.seed is None else options.seed
    counts: Counter[str] = Counter()
    failed = {name for name, number in known if name in laws and not holds(laws[name], int(number), counts)}
    rounds, told = 0, [False]
    signal.signal(signal.SIGTERM, lambda *_: told.__setitem__(0, True))  # enough for today: the counts so far are shown
    while time.process_time() < 60 * options.minutes and len(failed) < len(laws) and not told[0]:
        for name, law in laws.items():
            if told[0]:
                break
            if name not in failed and not holds(law, first + rounds, counts):
                failed.add(name)
                with SEEDS.open("a") as file:
                    file.write(f"{name} {first + rounds}\n")
        rounds += 1
    for name in laws:
        print(f"{counts[name]:>9,} {'FAILED' if name in failed else 'ok'} {name}")
    print(f"{sum(counts.values()):,} examples, {time.process_time() / 60:.1f} minutes of the processor, seed {first}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
