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
