"""The browser as fixtures. A test module names this file in `pytest_plugins`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser. Not for the session: Playwright's loop would stand in the way of other modules' async tests."""
    from tests.web.browser import launched

    with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which screenshots are kept: $RRM_SCREENSHOTS, or one of pytest's."""
    named = os.environ.get("RRM_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
