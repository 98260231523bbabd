"""The one picture of a multipart form, read as it comes and no further than it may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from topk_lightning.serving._errors import broken_form, no_form, slow_upload, too_many_bytes, wrong_fields

__all__ = ["FIELD", "read_upload"]

#: Name of the form's field that holds the picture.
FIELD = "image"

_FRAME = 2**16  # bytes of boundaries and headers around the picture, at most


async def read_upload(request: Request, max_bytes: int, seconds: float) -> bytes:
    """Return the bytes of the picture in a request's form.

    The length that the request claims is believed only where it is too large; what comes is counted, and reading stops at
    the limit. Nothing is written to disk.

    Args:
        request: whose body has not been read.
        max_bytes: of the picture.
        seconds: that the whole body may take.

    Raises:
        RequestError: no form, another form, too many bytes, or too slow.
    """
    kind = request.headers.get("content-type", "")
    media_type, options = parse_options_header(kind)
    if media_type != b"multipart/form-data":
        raise no_form(kind)
    if not options.get(b"boundary"):
        raise broken_form("one that does not say its boundary")
    claimed = request.headers.get("content-length", "0")
    if claimed.isdecimal() and int(claimed) > max_bytes + _FRAME:
        raise too_many_bytes(max_bytes)
    try:
        form = _Form(options[b"boundary"], max_bytes)
        await asyncio.wait_for(_feed(request, form), seconds)
    except asyncio.TimeoutError:
        raise slow_upload(seconds) from None
    except FormParserError as error:
        raise broken_form(f"one that breaks off or is malformed ({type(error).__name__})") from None
    return form.picture()


async def _feed(request: Request, form: _Form) -> None:
    async for chunk in request.stream():
        form.write(chunk)


class _Form:
    """Collects the names of a form's fields and the bytes of the picture."""

    def __init__(self, boundary: bytes, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._read = 0
        self._ended = False
        self._header, self._value = bytearray(), bytearray()
        self._names: list[str] = []
        self._data = bytearray()
        callbacks: dict[str, Callable[..., None]] = {
            "on_part_begin": lambda: self._names.append(""),
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": self._part_data,
            "on_end": self._end,
        }
        self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]

    def write(self, chunk: bytes) -> None:
        self._read += len(chunk)
        self._parser.write(chunk)
        if len(self._data) > self._max_bytes:
            raise too_many_bytes(self._max_bytes)
        if self._read - len(self._data) > _FRAME:  # other fields, or headers without end
            raise wrong_fields(FIELD, self._names)

    def picture(self) -> bytes:
        if not self._ended:
            raise broken_form("one that breaks off")
        if self._names != [FIELD]:
            raise wrong_fields(FIELD, self._names)
        return bytes(self._data)

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self._names[-1] = options.get(b"name", b"").decode("utf-8", "replace")
        self._header.clear()
        self._value.clear()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._names == [FIELD]:
            self._data.extend(data[start:end])

    def _end(self) -> None:
        self._ended = True
