"""A page and an address where pictures are answered with their k best classes: ``topk-lightning serve``."""

from __future__ import annotations

from topk_lightning.serving._errors import missing_server

try:
    import python_multipart  # noqa: F401
    import starlette  # noqa: F401
    import uvicorn  # noqa: F401
except ModuleNotFoundError as error:
    if error.name not in ("python_multipart", "starlette", "uvicorn"):
        raise
    raise missing_server(error.name) from error

from topk_lightning.serving._app import create_app

__all__ = ["create_app"]
