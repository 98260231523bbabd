"""The settings of uvicorn that the server relies on."""

from __future__ import annotations

import logging

import uvicorn

from topk_lightning.serving._guard import Guard

__all__ = ["server_of"]


def server_of(app: Guard) -> uvicorn.Server:
    """Return a server of the application, to be run with a listening socket.

    h11 is the parser that bounds the length of headers. Nobody is told which server this is, nothing is logged but
    failures, and what is under way at Ctrl-C or SIGTERM has nine seconds to end.
    """
    # What a stranger's broken form is made of is answered to him; a line a request hides what matters.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn.error").addFilter(_is_no_news)
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=9,
    )
    return uvicorn.Server(config)


def _is_no_news(record: logging.LogRecord) -> bool:
    """Return whether to say something: not which tasks were cancelled, since the command says how many requests it dropped."""
    return not str(record.msg).startswith("Cancel ")
