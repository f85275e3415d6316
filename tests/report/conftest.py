"""The report that most tests of the room read."""

import pytest

from rrm.core.report import Report
from tests.report.report_scenarios import make_report


@pytest.fixture(scope="session")
def report() -> Report:
    return make_report()
