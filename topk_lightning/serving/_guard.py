"""Headers that keep the page to itself, and no answer for names and pages that have no business here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from topk_lightning.serving._errors import RequestError, foreign_host

__all__ = ["Guard"]


class Guard:
    """Add headers to every answer of an application, and refuse foreign hosts.

    A page of another site can lead a browser to a server on loopback: by a name that it lets resolve to 127.0.0.1 (DNS
    rebinding), which shows in the header Host, or by a form or script of its own, which shows in the header Origin.

    Args:
        app: the application.
        headers: for every answer.
        hosts: the names by which the server may be called; None: any.
    """

    def __init__(self, app: ASGIApp, headers: Mapping[str, str], hosts: frozenset[str] | None) -> None:
        self._app, self._headers, self._hosts = app, dict(headers), hosts
        #: Requests that the server gave up because it stopped.
        self.dropped = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        app = self._app
        try:
            self._check(Headers(scope=scope))
        except RequestError as refusal:
            app = JSONResponse({"error": str(refusal)}, refusal.status)
        try:
            await app(scope, receive, send_with_headers)
        except asyncio.CancelledError:  # the server's time to stop is over
            self.dropped += 1
            if not started:
                stopped = JSONResponse({"error": "The server stopped before it could answer."}, 503)
                await stopped(scope, receive, send_with_headers)

    def _check(self, headers: Headers) -> None:
        if self._hosts is None:
            return
        host, origin = headers.get("host", ""), headers.get("origin")
        if _hostname("//" + host) not in self._hosts:
            raise foreign_host("Host", host, self._hosts)
        if origin is not None and origin != f"http://{host}":
            raise foreign_host("Origin", origin, [f"http://{host}"])


def _hostname(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        # A name and a password before it, a path behind it: none of them belongs into the header Host.
        return parts.hostname if "@" not in parts.netloc and parts.netloc == url[2:] else None
    except ValueError:
        return None
