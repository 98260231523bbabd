"""What a request is refused with, and why a server cannot start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from topk_lightning._checks import InvalidValueError, MissingPackageError, must
from topk_lightning._checks.options import check_k

__all__ = [
    "RequestError",
    "broken_form",
    "check_asked_k",
    "foreign_host",
    "missing_server",
    "no_form",
    "server_busy",
    "slow_upload",
    "too_many_bytes",
    "undecodable",
    "unknown_kind",
    "wrong_fields",
    "wrong_request",
]


class RequestError(InvalidValueError):
    """A request that is answered with a status of 4xx or 503 and one sentence.

    Args:
        status: of HTTP.
        sentence: what was wrong.
        headers: more headers of the answer.
    """

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.headers = status, dict(headers or {})


def check_asked_k(text: str | None, default: int, num_classes: int) -> int:
    """Return the k of a query such as ``?k=3``."""
    if text is None:
        return default
    try:
        k = int(text)
    except ValueError:
        raise RequestError(400, must("k", "be an integer", repr(text[:40]))) from None
    try:
        return check_k(k, num_classes)
    except ValueError as error:
        raise RequestError(400, str(error)) from None


def wrong_request(status: int, method: str) -> RequestError:
    """Return the refusal of an address (404) or a method (405) that is none of the server's."""
    if status == 404:
        return RequestError(status, must("the address", "be /, /predict or /health", "another one"))
    return RequestError(status, must("the method", "be POST for /predict and GET for / and /health", method))


def foreign_host(name: str, value: str, hosts: Iterable[str]) -> RequestError:
    """Return the refusal of a request that another name or another site's page led here."""
    return RequestError(403, must(f"the header {name}", f"name {' or '.join(sorted(hosts))}", repr(value[:80])))


def no_form(content_type: str) -> RequestError:
    """Return the refusal of a body that is no multipart form."""
    return RequestError(415, must("the body", "be a form of type multipart/form-data", repr(content_type[:80])))


def broken_form(reason: str) -> RequestError:
    """Return the refusal of a form that cannot be read, or that ends early."""
    return RequestError(400, must("the body", "be a whole multipart form", reason))


def wrong_fields(field: str, found: Sequence[str]) -> RequestError:
    """Return the refusal of a form without a picture, or with several."""
    named = ", ".join(repr(name[:40]) for name in found[:4]) or "none"
    remedy = "Send one request for each picture."
    return RequestError(400, must("the form", f"have exactly one field, {field!r}", named, remedy))


def too_many_bytes(limit: int) -> RequestError:
    """Return the refusal of a file above the limit, of which no more was read."""
    return RequestError(413, must("image", f"be a file of at most {limit:,} bytes", "more"))


def slow_upload(seconds: float) -> RequestError:
    """Return the refusal of a body that takes too long to come."""
    return RequestError(408, must("the body", f"arrive within {seconds:g} seconds", "a part of it"))


def unknown_kind(formats: Iterable[str], size: int) -> RequestError:
    """Return the refusal of bytes that are no picture of a known format."""
    status = 415 if size else 400
    return RequestError(
        status, must("image", f"be a picture in {', '.join(formats)}", f"{size} bytes of something else")
    )


def undecodable(sentence: str) -> RequestError:
    """Return the refusal of a picture that begins well and cannot be decoded."""
    return RequestError(422, sentence)


def server_busy(places: int) -> RequestError:
    """Return the refusal of a request for which there is no place."""
    sentence = must("the server", f"have at most {places} requests at a time", "one more", "Try again in a second.")
    return RequestError(503, sentence, {"Retry-After": "1"})


def missing_server(package: str) -> ModuleNotFoundError:
    """Return the error for a server without the libraries that it is built on."""
    remedy = 'Install them with: pip install "topk-lightning[server]".'
    sentence = must(
        "starlette, uvicorn and python-multipart", "be installed to serve", f"none called {package}", remedy
    )
    return MissingPackageError(sentence, name=package)
