"""The pages: HTML shells that scripts fill, each for the roles whose work is done on it."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from rrm.core.annotation import Person, Role, consent_id
from rrm.core.desk import Rules
from rrm.web.access import HOMES, public, visit, visitor
from rrm.web.station import Gate

_HERE = Path(__file__).parent


class Page(NamedTuple):
    """A page's address, its template and the roles that it is for."""

    path: str
    template: str
    roles: tuple[Role, ...]


_LOOKING: tuple[Role, ...] = ("admin", "reader")
PAGES = (
    Page("/work", "rater/work", ("annotator", "adjudicator", "admin")),
    Page("/admin", "admin/overview", _LOOKING),
    Page("/admin/raters", "admin/raters", _LOOKING),
    Page("/admin/agreement", "admin/agreement", _LOOKING),
    Page("/admin/adjudicate", "admin/adjudicate", ("adjudicator", *_LOOKING)),
    Page("/admin/items", "admin/items", _LOOKING),
    Page("/admin/guidelines", "admin/guidelines", _LOOKING),
    Page("/admin/settings", "admin/settings", _LOOKING),
    Page("/admin/audit", "admin/audit", _LOOKING),
    Page("/tree", "admin/tree", ("adjudicator", *_LOOKING)),
)


def router(gate: Gate, rules: Rules) -> APIRouter:
    """Return the routes of all pages; whom a page is not for is sent to where the own role's work begins."""
    routes = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @routes.get("/", dependencies=[Depends(public)])
    def start(request: Request) -> Response:
        person = visitor(gate, request)
        return RedirectResponse(HOMES[person.role] if person is not None else "/login", 303)

    @routes.get("/login", dependencies=[Depends(public)])
    def login() -> HTMLResponse:
        return _render("rater/login")

    @routes.get("/join", dependencies=[Depends(public)])
    def join() -> HTMLResponse:
        settings = rules.settings()
        return _render(
            "rater/join",
            consent=settings.consent,
            agreed=consent_id(settings.consent),
            participant_parameter=settings.participant_parameter,
        )

    for page in PAGES:
        routes.add_api_route(page.path, _shell(gate, page), methods=["GET"], name=page.template)
    return routes


def refusal_page(status: int, sentence: str, headers: Mapping[str, str]) -> HTMLResponse:
    """Return what a browser is shown in the place of a page that it cannot have."""
    page = _render("refused", sentence=f"{sentence[:1].upper()}{sentence[1:]}.", wait=headers.get("Retry-After", ""))
    page.status_code = status
    page.headers.update(headers)
    return page


def _shell(gate: Gate, page: Page) -> Callable[..., HTMLResponse]:
    def shell(person: Annotated[Person, Depends(visit(gate, *page.roles))]) -> HTMLResponse:
        return _render(page.template, role=person.role, name=person.name)

    return shell


def _render(template: str, role: str = "", name: str | None = None, **more: Any) -> HTMLResponse:
    page = _templates().get_template(f"{template}.html")
    return HTMLResponse(page.render(page=template.rpartition("/")[2], role=role, name=name or "", **more))


@lru_cache(maxsize=1)
def _templates() -> Environment:
    made = Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined)
    made.globals["static"] = f"/static/{version()}"
    return made


@lru_cache(maxsize=1)
def version() -> str:
    """Return a hash of all that is under static/; it stands in their addresses, so that browsers may keep them."""
    found = blake2b(digest_size=8)
    for path in sorted((_HERE / "static").rglob("*")):
        if path.is_file():
            found.update(path.relative_to(_HERE).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


class _Static(StaticFiles):
    """Files under /static/VERSION/, which browsers keep for a year, and under /static/, which they ask about again."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        first, _, rest = path.partition("/")
        current = first == version()
        response = await super().get_response(rest if current else path, scope)
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if current else "no-cache"
        return response


def static_files() -> StaticFiles:
    """Return the application that serves styles, scripts and pictures."""
    return _Static(directory=_HERE / "static")
