"""Where commands print for people: whatever a line names, nothing in it acts on the terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import rich
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from topk_lightning.drawing import visible_text

if TYPE_CHECKING:
    from io import BufferedIOBase

__all__ = ["VisibleConsole", "visible_console", "write_data"]


class VisibleConsole(Console):
    """A console of rich that writes out what acts unseen, such as an escape sequence in the name of a class."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text, before rich leaves out some of what it holds."""
        return super().render_str(visible_text(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of a renderable; the console's own controls stay what they are."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible_text(segment.text))

    def on_broken_pipe(self) -> None:
        """Let the command end as where others write: rich's own way is status 1."""
        raise BrokenPipeError


@contextlib.contextmanager
def visible_console() -> Iterator[None]:
    """Within it, :func:`rich.get_console` and :func:`rich.print` are such a console."""
    console = rich.get_console()
    before = console.__class__
    console.__class__ = VisibleConsole
    try:
        yield
    finally:
        console.__class__ = before


def write_data(data: bytes) -> None:
    """Write data for programs, in UTF-8, to standard output as they are; what acts unseen is written out for a terminal."""
    buffer: BufferedIOBase | None = getattr(sys.stdout, "buffer", None)
    if buffer is None or sys.stdout.isatty():
        text = data.decode()
        sys.stdout.write(visible_text(text) if sys.stdout.isatty() else text)
    else:
        sys.stdout.flush()
        buffer.write(data)
