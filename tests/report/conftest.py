"""The report that most tests of the room read."""

import pytest
from report_scenarios import make_report

from rrm.core.report import Report


@pytest.fixture(scope="session")
def report() -> Report:
    return make_report()
