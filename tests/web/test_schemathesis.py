"""Requests made from the API's own description: none of them makes the station fail."""

from pathlib import Path

import pytest

from benchmarks.fuzz import fuzz
from tests.web.routes_table import ROUTES


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("requests", [500, pytest.param(2_000, marks=pytest.mark.slow)])
def test_no_request_that_the_description_allows_or_forbids_gets_a_5xx(requests: int, tmp_path: Path) -> None:
    found = fuzz(tmp_path, requests, seed=1)
    assert found.faults == []
    assert found.requests >= requests
    assert found.operations == {f"{method} {path}" for method, path in ROUTES if path.startswith("/api/")}
    assert found.with_status(2) > found.requests / 20  # it came in, and got somewhere
    assert found.with_status(4) > found.requests / 5
