"""A real browser for the pages' tests: Chromium by Playwright, the station on a real port, axe, and pictures kept."""

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from rrm.core.annotation import Role
from rrm.web.app import application
from rrm.web.station import Station

WIDE, NARROW = 1280, 360
PATIENCE = 60.0
"""Seconds after which what is waited for will not come: long, as a busy machine is no fault of a page's."""

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""Programs that will do; the first is the same engine without a window's trappings, and opens pages twice as fast."""

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_WATCH = """
window.seen = {violations: [], dialogs: []};
addEventListener("securitypolicyviolation", (event) =>
  window.seen.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""
_OVERFLOW = """() => {
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (wide <= 0) return [];
  const sticksOut = (node) => node.getBoundingClientRect().right > innerWidth;
  const out = [...document.querySelectorAll("body *")].filter(sticksOut);
  return [`${wide} px too wide`, ...out.slice(0, 5).map((node) => node.outerHTML.slice(0, 120))];
}"""


@contextmanager
def serving(station: Station) -> Iterator[str]:
    """Serve a station on a free port of this machine, in a thread; give its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        config = uvicorn.Config(application(station, port), log_level="critical", access_log=False, ws="none")
        server = uvicorn.Server(config)
        server.capture_signals = _no_signals  # type: ignore[method-assign]
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = server.force_exit = True
            thread.join()


@contextmanager
def launched() -> Iterator[Any]:
    """A browser; skips the test loudly where there is none."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("NO CHROMIUM HERE: the pages were not tried in a browser; install chromium-headless-shell")
    sync_api = pytest.importorskip("playwright.sync_api", reason="NO PLAYWRIGHT: the pages were not tried in a browser")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_ARGUMENTS))
        yield browser
        browser.close()


@dataclass
class Seen:
    """What a page did that it must not: each list stays empty on a good page."""

    errors: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)  # requests to anywhere but the server

    def assert_clean(self, page: Any) -> None:
        violations = page.evaluate("window.seen?.violations ?? []")
        found = {**vars(self), "violations": violations}
        assert not any(found.values()), found


@contextmanager
def visiting(browser: Any, url: str, width: int = WIDE, scheme: str = "light", **options: Any) -> Iterator[Any]:
    """A page in a fresh profile that writes down its errors, dialogs and requests to elsewhere as `page.seen`."""
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, base_url=url, reduced_motion="reduce", **options
    )
    context.set_default_timeout(PATIENCE * 1000)
    context.add_init_script(_WATCH)
    page = context.new_page()
    watch(page, url)
    try:
        yield page
    finally:
        context.close()


def watch(page: Any, url: str) -> Seen:
    """Write down what a page does that it must not."""
    seen = page.seen = Seen()
    page.on("pageerror", lambda error: seen.errors.append(str(error)))

    def note(request: Any) -> None:
        if not request.url.startswith(f"{url}/"):
            seen.strangers.append(request.url)

    def dismiss(dialog: Any) -> None:
        seen.dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("request", note)
    page.on("dialog", dismiss)
    return seen


def come_in(page: Any, desk: Any, url: str, role: Role = "annotator", name: str = "") -> str:
    """Let a new person in without the way through /join; return the person's id."""
    person = desk.add_person(name or f"Robin {len(desk.persons()) + 1}", role, by="test")
    session = desk.join(desk.invite(person.id, "test"))
    if version := desk.guideline().version:
        desk.acknowledge(person.id, version)
    port = url.rpartition(":")[2]
    page.context.add_cookies([{"name": f"rrm-{port}", "value": session, "url": url, "httpOnly": True}])
    return str(person.id)


def assert_accessible(page: Any, allowed: tuple[str, ...] = ()) -> None:
    """Fail on anything that axe calls serious or critical, rules of WCAG 2.2 AA included."""
    from axe_playwright_python.sync_playwright import Axe

    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": tags}}).response["violations"]
    bad = [
        f"{each['impact']} {each['id']}: {node['html'][:150]} {node.get('failureSummary', '')[:200]}"
        for each in found
        if each["impact"] in ("serious", "critical") and each["id"] not in allowed
        for node in each["nodes"]
    ]
    assert not bad, "\n".join(bad)


def assert_fits(page: Any) -> None:
    """Fail if the page scrolls sideways."""
    found = page.evaluate(_OVERFLOW)
    assert not found, found


def picture(page: Any, folder: Path, name: str) -> Path:
    """Keep a picture of the whole page; the window grows for it, so that nothing sticks to the wrong place."""
    size = page.viewport_size
    tall = page.evaluate("Math.max(document.documentElement.scrollHeight, 600)")
    page.set_viewport_size({"width": size["width"], "height": min(tall, 6000)})
    path = folder / f"{name}.png"
    page.screenshot(path=path)
    page.set_viewport_size(size)
    return path


@contextmanager
def _no_signals() -> Iterator[None]:
    yield


def wait_until(ready: Callable[[], bool]) -> None:
    """Ask again and again until something is so; fail after `PATIENCE`."""
    end = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
