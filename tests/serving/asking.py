"""Requests as clients send them, well-formed or not."""

from __future__ import annotations

import contextlib
import io
import socket

import httpx
from PIL import Image

HEAD = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
ONE = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n%b\r\n'


def encoded(kind, size=(64, 64), mode="RGB", **options):
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def post(address, data, field="image"):
    return httpx.post(f"{address}/predict", files={field: ("picture.png", data)}, timeout=30)


def connect(address):
    """Return a connection without a request."""
    host, port = address.removeprefix("http://").split(":")
    return contextlib.closing(socket.create_connection((host, int(port)), timeout=20))


def raw(address, request):
    """Send bytes as they are, and return status, headers and body of the answer."""
    with connect(address) as connection:
        connection.sendall(request.encode())
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # what was sent after the refusal nobody reads
            while part := connection.recv(65536):
                answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode(), body
