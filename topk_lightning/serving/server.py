"""The settings of uvicorn that the server relies on."""

from __future__ import annotations

import uvicorn

from topk_lightning.serving.guard import Guard

__all__ = ["server_of"]


def server_of(app: Guard) -> uvicorn.Server:
    """Return a server of the application, to be run with a listening socket.

    h11 is the parser that bounds the length of headers. Nobody is told which server this is, nothing is logged but
    failures, and what is under way at Ctrl-C has ten seconds to end.
    """
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=10,
    )
    return uvicorn.Server(config)
