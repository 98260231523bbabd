"""Ctrl-C and SIGTERM, from the first line of a command to its last: before torch is imported and within a trainer."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess

__all__ = ["STOPS", "StopRequests", "Stopped"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AGAIN_AFTER = 0.05  # seconds until a stop that was swallowed is raised once more


class Stopped(KeyboardInterrupt):
    """A command was asked to stop, by Ctrl-C or by SIGTERM; its text is the sentence for the user."""


class StopRequests:
    """Take Ctrl-C and SIGTERM within its ``with`` block and raise :class:`Stopped` for them in the main thread.

    A trainer's step is not torn apart: between `hold` and `release` the first request only waits, the second is raised.
    What is written after a request is written to its end, however often it is asked for: see `finish`.
    Handlers start no work that has to be done together with other processes.
    """

    def __init__(self) -> None:
        #: The first signal that came; None: none did.
        self.signum: int | None = None
        self._held = self._finishing = False
        self._process = os.getpid()
        self._watched: list[subprocess.Popen[bytes]] = []
        self._children: list[subprocess.Popen[bytes]] = []
        self._before: dict[int, Any] = {}
        self._hook: Any = None

    @property
    def status(self) -> int:
        """Exit status as shells count it: 128 + the signal, Ctrl-C's where none came."""
        return 128 + (self.signum or signal.SIGINT)

    @property
    def word(self) -> str:
        """What happened, in one word."""
        return "Terminated" if self.signum == signal.SIGTERM else "Interrupted"

    def __enter__(self) -> StopRequests:
        self.signum, self._held, self._finishing, self._process = None, False, False, os.getpid()
        self._watched, self._children = [], []
        if threading.current_thread() is threading.main_thread():
            # Whoever starts a command in the background may have its Ctrl-C ignored: that stays.
            handlers = {number: signal.getsignal(number) for number in _SIGNALS}
            self._before = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}
            self._hook, sys.unraisablehook = sys.unraisablehook, self._on_unraisable
            self.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._hook is not None:
            sys.unraisablehook, self._hook = self._hook, None
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    @contextlib.contextmanager
    def of_a_program(self) -> Iterator[None]:
        """As the ``with`` block itself, of a process that ends with it: a stop that comes while Python tidies up is too late."""
        with self:
            yield
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)

    def install(self) -> None:
        """Put the handlers in their place, also again after a trainer has put its own there."""
        if threading.current_thread() is threading.main_thread():
            for number in self._before:
                signal.signal(number, self._handle)

    def watch(self, children: list[subprocess.Popen[bytes]]) -> None:
        """Take over, when a stop comes, the processes of a trainer from the list by which Lightning watches them.

        It ends the whole training by SIGKILL as soon as one of them ends with a status, as each does after a stop.
        """
        self._watched = children

    def end_children(self) -> None:
        """End the processes that were taken over, and wait for each, so that none is left."""
        for child in self._children:
            child.kill()
        while self._children:
            self._children.pop().wait()

    def hold(self) -> None:
        """Let the first request wait for `check`, `release` or a second one."""
        self._held = True

    @contextlib.contextmanager
    def finish(self) -> Iterator[None]:
        """Within it no request is raised, not the second one either: of what is saved after the first."""
        self._finishing = True
        try:
            yield
        finally:
            self._finishing = False

    def release(self) -> None:
        """Take requests at once again; one that waits is raised by the next `check`."""
        self._held = False

    def check(self) -> None:
        """Raise the request that waits, if there is one."""
        self._held = False
        if self.signum is not None:
            raise Stopped

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        # A process that was forked within a step, to load images, waits for nothing.
        waits = (self._finishing or (self._held and self.signum is None)) and os.getpid() == self._process
        self.signum = self.signum or signum
        if os.getpid() == self._process:
            self._children += self._watched
            self._watched.clear()
        if not waits:
            raise Stopped

    def _on_unraisable(self, unraisable: Any) -> None:
        """Raise a stop again that came within a finalizer or a weak reference's callback, where Python drops errors."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt) and self.signum is not None:
            timer = threading.Timer(_AGAIN_AFTER, signal.raise_signal, (self.signum,))
            timer.daemon = True
            timer.start()
        else:
            self._hook(unraisable)


#: Those of this process; commands and the callbacks of their trainers share it.
STOPS = StopRequests()
