"""The application: a page, ``POST /predict`` and ``GET /health``."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from torch import Tensor, nn

from topk_lightning._checks.options import check_integer, check_k, check_positive
from topk_lightning.prediction import Answer, Decider, TrainedModel
from topk_lightning.serving._answers import Wanted, answers_of, check_asked
from topk_lightning.serving._batching import Batcher
from topk_lightning.serving._errors import RequestError, wrong_request
from topk_lightning.serving._guard import Guard
from topk_lightning.serving._page import render_page
from topk_lightning.serving._pictures import decode_picture
from topk_lightning.serving._uploads import read_upload

__all__ = ["create_app"]

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_READERS = min(4, os.cpu_count() or 1)  # threads that decode pictures


def create_app(
    checkpoint: str | Path | TrainedModel,
    *,
    k: int | None = None,
    coverage: float | None = None,
    sure: float | str | None = None,
    hierarchy: Any = None,
    classes: Any = None,
    batch_size: int = 32,
    max_bytes: int = 20_000_000,
    max_pixels: int = 50_000_000,
    places: int = 128,
    seconds: float = 30.0,
    hosts: Iterable[str] | None = ("127.0.0.1", "localhost", "::1"),
    logit_adjustment: float = 0.0,
    network: nn.Module | str | None = None,
    trust: Iterable[str] = (),
) -> Guard:
    """Return an ASGI application that names the k best classes of pictures, for uvicorn or any other server.

    Args:
        checkpoint: file that TopKClassifier saved, or what was read of it; it is read with ``weights_only=True``.
        k: how many classes where a request does not say, 1 ≤ k ≤ C; None: those on the list of a review plan in the checkpoint,
            or 5, or all where there are fewer.
        coverage: show prediction sets instead of the k best where a request does not say: as few names as have the right one
            among them with this probability. The checkpoint must hold sets, which ``topk-lightning sets`` puts there.
        sure: say, beside the k best, the finest class or group with at least this probability, and the best of each level;
            "fit": by the threshold that ``topk-lightning review --hierarchy`` fitted.
        hierarchy: groups of classes, for `sure` and to say a set that is one group as the group.
        classes: the classes that are possible, as :meth:`topk_lightning.decisions.ClassList.of` takes them; None: all.
        batch_size: pictures that the network sees at a time, at most.
        max_bytes: of a picture's file.
        max_pixels: of a picture.
        places: requests at a time; one more is answered 503.
        seconds: that the body of a request may take to arrive.
        hosts: the names by which the server may be called; None: any, for a server behind another one.
        logit_adjustment: scores as if all classes had been equally frequent in training (1), as in ``TrainedModel.load``;
            sets of the checkpoint promise nothing for these, so the two exclude each other.
        network: the network of a checkpoint that cannot name it, or "package.module:function" that returns it.
        trust: packages of others that a checkpoint may name; importing them runs their code.

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: a checkpoint of something else or without preprocessing, k > C, or numbers out of range.
    """
    model = TrainedModel.load(checkpoint, network, logit_adjustment=logit_adjustment, trust=trust)
    model = model if classes is None else model.only(classes)
    preprocessing = model.known_preprocessing()
    size, max_pixels = preprocessing.image_size, check_integer("max_pixels", max_pixels)
    # One answer before anybody asks: the first is slow, and it says how many classes there are.
    blank = torch.zeros(3, size, size, dtype=torch.uint8)
    with model.evaluating(), torch.inference_mode():
        num_classes = model.logits(model.prepare(blank)[None]).shape[1]
    num_classes = num_classes if model.classes is None else len(model.classes.indices)
    k = None if k is None else check_k(k, num_classes)
    sets = model.fits.sets
    promise = coverage if coverage is not None or sets is None else sets.coverage
    decide = Decider.of(model, coverage=promise, sure=sure, hierarchy=hierarchy)
    k = decide.default_k(num_classes) if k is None else k
    max_bytes, seconds = check_integer("max_bytes", max_bytes), check_positive("seconds", seconds)

    def prepare(data: bytes) -> Tensor:
        return model.prepare(decode_picture(data, max_pixels, preprocessing))

    def predictions_of(asked: Sequence[tuple[Tensor, Wanted]]) -> list[Answer]:
        return answers_of(model, decide, asked)

    batcher: Batcher[tuple[Tensor, Wanted], Answer] = Batcher(predictions_of, batch_size, places=places)
    readers = ThreadPoolExecutor(_READERS, "decode")
    page, policy = render_page(num_classes, k, max_bytes, promise, coverage is not None)

    async def show_page(_: Request) -> Response:
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})

    async def predict(request: Request) -> Response:
        asked = check_asked(request.query_params, Wanted(k, coverage), num_classes, sets is not None)
        with batcher.place():
            data = await read_upload(request, max_bytes, seconds)
            image = await asyncio.get_running_loop().run_in_executor(readers, prepare, data)
            if await request.is_disconnected():
                raise ClientDisconnect
            answer = await batcher((image, asked))
        return JSONResponse({**answer.plain(), **({} if asked.coverage is None else {"coverage": asked.coverage})})

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "classes": num_classes, "requests": batcher.taken})

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with batcher:
            yield
        readers.shutdown(cancel_futures=True)

    routes = [Route("/", show_page), Route("/predict", predict, methods=["POST"]), Route("/health", health)]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=_HANDLERS)
    app.router.redirect_slashes = False  # a redirect would repeat the name that the client called the server by
    return Guard(app, _HEADERS, None if hosts is None else frozenset(hosts))


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestError):
        raise error
    return JSONResponse({"error": str(error)}, error.status, error.headers)


async def _wrong(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    refusal = wrong_request(error.status_code, request.method)
    return JSONResponse({"error": str(refusal)}, error.status_code, error.headers)


async def _gone(_: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


async def _failed(_: Request, error: Exception) -> Response:
    # The server shows the traceback in its terminal; a stranger learns nothing from the answer.
    return JSONResponse({"error": "The server failed at this request; its terminal says why."}, 500)


_HANDLERS = {RequestError: _refused, HTTPException: _wrong, ClientDisconnect: _gone, Exception: _failed}
