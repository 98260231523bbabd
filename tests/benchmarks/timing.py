"""Times side by side in one run: each figure is a ratio to something everyone knows."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def best_times(calls: dict[str, Callable[[], object]], rounds: int = 7, seconds: float = 0.05) -> dict[str, float]:
    """Return the best time in seconds of each call, measured in turn so that all see the same machine.

    With one thread it is the time of the processor in this process, which others on the machine do not stretch.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    repeats = {}
    for name, call in calls.items():
        call()
        start = clock()
        call()
        repeats[name] = max(1, int(seconds / (clock() - start + 1e-9)))
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            for _ in range(repeats[name]):
                start = clock()
                call()
                best[name] = min(best[name], clock() - start)
    return best


def ratios_of_rounds(
    calls: dict[str, Callable[[], object]], base: str, rounds: int = 7, seconds: float = 0.03
) -> dict[str, list[float]]:
    """Return, for each call, its time ÷ that of `base` in each round, in which all take turns for so many seconds each.

    The time of a call in a round is the best of its repetitions, which a call that was interrupted does not move.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        times = best_times(calls, rounds=1, seconds=seconds)
        for name, ratios in found.items():
            ratios.append(times[name] / times[base])
    return found


def peak_extra_bytes(call: Callable[[], object], forget: Callable[[], object] = lambda: None) -> int:
    """Return how many bytes the call held at most on the CPU beyond what was there before.

    `forget` drops what an earlier call left, such as a gradient: if the call did so itself, the profiler would count it
    where it happens to know the address from an earlier profile.
    """
    call()
    forget()
    with torch.profiler.profile(profile_memory=True, activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        call()
    held = most = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most
