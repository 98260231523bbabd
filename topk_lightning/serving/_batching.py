"""Requests that arrive together are answered together: one queue, one worker thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Generic, TypeVar

from topk_lightning._checks.options import check_integer
from topk_lightning.serving._errors import server_busy

__all__ = ["Batcher"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """Collect the items of concurrent callers and answer each batch of them by one call in a worker thread.

    While the worker computes, the queue fills by itself; an idle one waits a few milliseconds for company. An item whose
    caller has gone is left out of its batch. Where a batch fails, its items are tried one by one, so that only the
    caller of a bad one sees the error.

    Args:
        answer: takes a list of items and returns a list of as many answers.
        batch_size: items at a time, at most.
        wait: seconds that a batch which is not full waits for more.
        places: callers at a time; there is no place for one more.

    Examples:
        >>> async def double(numbers):
        ...     async with Batcher(lambda items: [2 * item for item in items]) as batcher:
        ...         return await asyncio.gather(*map(batcher, numbers))
        >>> asyncio.run(double([1, 2, 3]))
        [2, 4, 6]
    """

    def __init__(
        self,
        answer: Callable[[list[Item]], Sequence[Answer]],
        batch_size: int = 32,
        wait: float = 0.003,
        places: int = 128,
    ) -> None:
        self.batch_size, self.places = check_integer("batch_size", batch_size), check_integer("places", places)
        self.wait = wait if batch_size > 1 else 0.0
        self.taken = 0
        self._answer = answer

    async def __aenter__(self) -> Batcher[Item, Answer]:
        self._queue: asyncio.Queue[tuple[Item, asyncio.Future[Answer]]] = asyncio.Queue()
        self._worker = ThreadPoolExecutor(1, "model")
        self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        self._worker.shutdown()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one of the places, which bound the queue and what waits to join it.

        Raises:
            RequestError: all places are taken.
        """
        if self.taken >= self.places:
            raise server_busy(self.places)
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def __call__(self, item: Item) -> Answer:
        """Return the answer to an item, or raise what its computation raised."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((item, future))
        return await future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            entries = [await self._queue.get()]
            if self._queue.qsize() < self.batch_size - 1:
                await asyncio.sleep(self.wait)
            while len(entries) < self.batch_size and not self._queue.empty():
                entries.append(self._queue.get_nowait())
            entries = [(item, future) for item, future in entries if not future.done()]
            if not entries:
                continue
            answers = await loop.run_in_executor(self._worker, self._each, [item for item, _ in entries])
            for (_, future), answer in zip(entries, answers, strict=True):
                if future.done():  # cancelled meanwhile
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    def _each(self, items: list[Item]) -> Sequence[Answer | Exception]:
        try:
            return self._answer(items)
        except Exception as error:
            return [error] if len(items) == 1 else [answer for item in items for answer in self._each([item])]
