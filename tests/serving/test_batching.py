"""The queue and its one worker: what is answered together, and who sees which error."""

from __future__ import annotations

import asyncio
import threading

import pytest

from topk_lightning.serving._batching import Batcher
from topk_lightning.serving._errors import RequestError


class Model:
    """Doubles numbers, remembers its batches, can be held, and fails at negative numbers."""

    def __init__(self):
        self.batches = []
        self.entered, self.free = threading.Event(), threading.Event()
        self.free.set()

    def __call__(self, items):
        self.batches.append(list(items))
        self.entered.set()
        assert self.free.wait(10)
        if min(items) < 0:
            raise ValueError(f"negative: {items}")
        return [2 * item for item in items]


async def held(model, batcher, first):
    """Start one call and wait until the worker is busy with it."""
    model.free.clear()
    task = asyncio.create_task(batcher(first))
    assert await asyncio.to_thread(model.entered.wait, 10)
    return task


def test_what_arrives_together_is_one_batch():
    async def scenario():
        model = Model()
        async with Batcher(model, batch_size=8, wait=0.05) as batcher:
            assert await asyncio.gather(*map(batcher, range(5))) == [0, 2, 4, 6, 8]
        assert model.batches == [[0, 1, 2, 3, 4]]

    asyncio.run(scenario())


def test_while_the_worker_is_busy_the_queue_fills_up_to_the_batch_size():
    async def scenario():
        model = Model()
        async with Batcher(model, batch_size=4, wait=0.0) as batcher:
            first = await held(model, batcher, 0)
            rest = [asyncio.create_task(batcher(number)) for number in range(1, 11)]
            await asyncio.sleep(0.02)
            model.free.set()
            assert await asyncio.gather(first, *rest) == [2 * number for number in range(11)]
        assert model.batches == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]

    asyncio.run(scenario())


def test_batch_size_one_answers_one_by_one():
    async def scenario():
        model = Model()
        async with Batcher(model, batch_size=1) as batcher:
            assert await asyncio.gather(*map(batcher, range(3))) == [0, 2, 4]
        assert model.batches == [[0], [1], [2]]

    asyncio.run(scenario())


def test_who_has_gone_is_left_out_and_hurts_nobody():
    async def scenario():
        model = Model()
        async with Batcher(model, batch_size=4, wait=0.0) as batcher:
            first = await held(model, batcher, 0)
            rest = [asyncio.create_task(batcher(number)) for number in (1, 2, 3)]
            await asyncio.sleep(0.02)
            first.cancel()  # in the worker already
            rest[1].cancel()  # in the queue still
            model.free.set()
            assert await asyncio.gather(rest[0], rest[2]) == [2, 6]
            assert await batcher(4) == 8
        assert model.batches == [[0], [1, 3], [4]]

    asyncio.run(scenario())


def test_only_the_caller_of_a_bad_item_sees_its_error():
    async def scenario():
        model = Model()
        async with Batcher(model, batch_size=4, wait=0.05) as batcher:
            answers = await asyncio.gather(*map(batcher, (1, -2, 3)), return_exceptions=True)
            assert answers[::2] == [2, 6]
            assert str(answers[1]) == "negative: [-2]"
            assert await batcher(5) == 10
        assert model.batches == [[1, -2, 3], [1], [-2], [3], [5]]

    asyncio.run(scenario())


def test_places_are_bounded_and_given_back():
    batcher = Batcher(lambda items: items, places=2)
    with batcher.place():
        with pytest.raises(ZeroDivisionError), batcher.place():
            1 / 0  # noqa: B018
        with batcher.place(), pytest.raises(RequestError) as refused, batcher.place():
            pass
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
    assert batcher.taken == 0


@pytest.mark.parametrize("option", ["batch_size", "places"])
def test_sizes_are_checked(option):
    with pytest.raises(ValueError, match=f"^{option} must be at least 1, got 0.$"):
        Batcher(list, **{option: 0})
