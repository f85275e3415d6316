"""A scoring server: rewards over HTTP, in the shape that OpenRLHF's remote reward models have.

    POST /get_reward {"query": [text, ...], "prompts": [text, ...]}
      -> {"rewards": [...], "scores": [...], "score_std": [...]}
    GET /health -> {"status": "ok", "model": name, "members": n}

`query` holds whole texts, prompt and output; with `prompts`, a text that begins with its prompt is split
there, so that outputs of one prompt are read together; other fields are passed over. `rewards`, in logits,
are the members' means, `scores` are the same once more, `score_std` the members' standard deviations. What
clients leave of padding and end-of-sequence tokens around a text is taken off. Refusals have status 422 (413:
too many bytes) and say why in `detail`. Nothing that is sent is written anywhere.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated

import anyio
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rrm.core.errors import InputError, RrmError
from rrm.core.ids import content_id
from rrm.core.serving import TextScorer
from rrm.core.values import Group, Passage, View

MOST_QUERIES, MOST_LETTERS, MOST_BYTES = 1024, 1_000_000, 64 * 2**20
MAX_TOKENS = 128
"""The length that outputs are taken to have been allowed, as in files of rows."""

_REMEMBERED = 10_000
_Text = Annotated[str, Field(min_length=1, max_length=MOST_LETTERS)]


class Asked(BaseModel):
    """What is to be scored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    query: Annotated[list[_Text], Field(min_length=1, max_length=MOST_QUERIES)]
    prompts: Annotated[list[str], Field(max_length=MOST_QUERIES)] | None = None


class Answered(BaseModel):
    """Rewards in logits and their spread, one a query."""

    rewards: list[float]
    scores: list[float]
    score_std: list[float]


class Requests:
    """Answers one request after the other; its model forgets texts after some thousands of them."""

    def __init__(self, model: TextScorer) -> None:
        self._model = model
        self._marks = model.marks
        self._read = 0

    def score(self, asked: Asked) -> Answered:
        """Return the rewards of all queries; raise InputError for what cannot be scored."""
        groups = list(self._groups(asked.query, asked.prompts))
        self._read += len(groups)
        if self._read > _REMEMBERED:
            self._model, self._read = self._model.forgetting(), len(groups)
        found = self._model.rewards(groups)
        rewards = [float(each.mean()) for each in found]
        return Answered(rewards=rewards, scores=rewards, score_std=[float(each.std()) for each in found])

    def _groups(self, queries: Sequence[str], prompts: Sequence[str] | None) -> Iterator[Group]:
        """Yield one group a query; those of one prompt share a view, and so are read together."""
        if prompts is not None and len(prompts) != len(queries):
            raise InputError(f"there are {len(queries)} queries and {len(prompts)} prompts: give one a query")
        for place, whole in enumerate(queries):
            query = _bare(whole, *self._marks)
            if not query:
                raise InputError(f"query {place} is empty")
            prompt = _bare(prompts[place], self._marks.before, ()) if prompts is not None else ""
            if not query.startswith(prompt):
                prompt = ""
            if not prompt and self._model.needs_prompts:
                raise InputError(
                    f"query {place} does not begin with a prompt of its own, and this model compares outputs with"
                    " their prompts: send prompts, one a query, with which the queries begin"
                )
            view = View("", (Passage(prompt),), MAX_TOKENS)
            yield Group(content_id("source", view.text), self._model.place, view, (query[len(prompt) :],))


class _Bounded:
    """Refuses a request of more than `MOST_BYTES` while it comes in, before it is read whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MOST_BYTES:
                raise HTTPException(413, f"a request has at most {MOST_BYTES} bytes: send fewer queries at once")
            return message

        await self._app(scope, counted, send)


def application(model: TextScorer, name: str) -> FastAPI:
    """Return the server as an ASGI application; one request is scored at a time, the others wait."""
    app = FastAPI(title="rrm reward server", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(_Bounded)
    turn = anyio.Semaphore(1)
    requests = Requests(model)

    @app.exception_handler(RrmError)
    async def refuse(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=422)

    @app.exception_handler(RequestValidationError)
    async def refuse_shape(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return JSONResponse({"detail": _sentence(error)}, status_code=422)

    @app.get("/health")
    async def health() -> dict[str, str | int]:
        return {"status": "ok", "model": name, "members": model.members}

    @app.post("/get_reward")
    async def get_reward(asked: Asked) -> Answered:
        async with turn:
            return await anyio.to_thread.run_sync(requests.score, asked)

    return app


def _sentence(error: RequestValidationError) -> str:
    """Return the first fault: where it is and what was expected, without what was sent."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return "the request is not JSON"
    where = ".".join(map(str, first["loc"][1:])) or "the request"
    return f"{where}: {str(first['msg'])[:1].lower()}{str(first['msg'])[1:]}"


def _bare(text: str, before: Sequence[str], behind: Sequence[str]) -> str:
    while mark := next((each for each in before if text.startswith(each)), None):
        text = text.removeprefix(mark)
    while mark := next((each for each in behind if text.endswith(each)), None):
        text = text.removesuffix(mark)
    return text
