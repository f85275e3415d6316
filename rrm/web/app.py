"""The station as one ASGI application: its routers, its answers to errors, and the guard around them."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from rrm.core.annotation import Person
from rrm.core.errors import AccessError, ConflictError, InputError, MissingError, RrmError, StoreError, UnreachableError
from rrm.viewer.trees import Trees
from rrm.web import admin, pages, rater, tree
from rrm.web.access import allow
from rrm.web.guard import FAILED, Guard, route_of
from rrm.web.station import Gate, Station

THREADS = 64
"""How many requests may wait for the desk at once; the more there are, the more share one write to the disk."""

_STATUS: tuple[tuple[type[RrmError], int], ...] = (
    (MissingError, 404),
    (AccessError, 403),
    (ConflictError, 409),
    (InputError, 422),
    (StoreError, 503),
    (RrmError, 500),
)
_SENTENCES = {404: "there is nothing at this address", 405: "this address does not take that method"}
_UNWRITTEN = "the record cannot be read or written just now; what you sent was not kept: send it again in a moment"

_log = logging.getLogger("rrm.web")


class Json(JSONResponse):
    """JSON in UTF-8; with escapes where a text holds what UTF-8 cannot say, as half of a surrogate pair."""

    def render(self, content: Any) -> bytes:
        try:
            return super().render(content)
        except UnicodeEncodeError:
            return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def application(station: Station, port: int) -> FastAPI:
    """Return the application, as it is reached on loopback under this port and under the public URL."""
    app = FastAPI(
        title="rrm annotation station",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        default_response_class=Json,
        lifespan=_with_threads,
        redirect_slashes=False,
    )
    app.add_middleware(Guard, settings=station.settings, port=port)
    app.add_exception_handler(RrmError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_shape)
    app.add_exception_handler(HTTPException, _refuse_request)
    trees = Trees(station.trees, station.desk) if station.trees is not None else None
    app.include_router(rater.router(station))
    app.include_router(admin.router(station))
    app.include_router(tree.router(station.gate, trees))
    app.include_router(pages.router(station.gate, station.desk))
    app.include_router(_description(station.gate, app))
    app.mount("/static", pages.static_files(), name="static")
    return app


@asynccontextmanager
async def _with_threads(_: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


def _description(gate: Gate, app: FastAPI) -> APIRouter:
    routes = APIRouter()

    @routes.get("/api/openapi.json")
    def openapi(_: Annotated[Person, Depends(allow(gate, "admin"))]) -> dict[str, Any]:
        return app.openapi()

    return routes


def _answer(status: int, sentence: str, headers: Any = None) -> JSONResponse:
    return Json({"detail": sentence}, status_code=status, headers=headers)


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    if status < 500:
        return _answer(status, str(error))
    if not isinstance(error, UnreachableError):  # which the record tells once, not for everybody who asks meanwhile
        _log.error("%s %s failed: %s", request.method, route_of(request.scope), type(error).__name__)
    return _answer(status, _UNWRITTEN if status == 503 else FAILED)


async def _refuse_shape(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _answer(422, _sentence(error))


async def _refuse_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    own = error.detail != HTTPStatus(error.status_code).phrase  # else it is the framework's, which says nothing
    sentence = error.detail if own else _SENTENCES.get(error.status_code, error.detail)
    if 400 <= error.status_code < 500 and _wants_page(request):
        return pages.refusal_page(error.status_code, sentence, error.headers or {})
    return _answer(error.status_code, sentence, error.headers)


def _wants_page(request: Request) -> bool:
    """Whether somebody looks at the answer: a browser that goes to an address."""
    looks = "text/html" in request.headers.get("accept", "") and request.method == "GET"
    return looks and not request.url.path.startswith("/api/")


def _sentence(error: RequestValidationError) -> str:
    """Return the first fault: where it is and what was expected."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"][1:]))[:100] or "the request"
    return f"{where}: {str(first['msg'])[:1].lower()}{str(first['msg'])[1:200]}"
