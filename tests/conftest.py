"""Fixtures that tests of several rooms share."""

import os
import shutil
import signal
from collections.abc import Iterator

import hypothesis
import pytest

# Before torch is imported, here and in the processes that tests start: on tensors as small as theirs, and beside
# another worker, the threads of one process wait for each other most of the time.
os.environ["OMP_NUM_THREADS"] = "1"

from rrm.store import database, open_store
from rrm.store.location import FILE, Location

pytest_plugins = ["tests.postgres"]

# A shell starts what runs in its background with interrupts ignored; so would be what tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


# How long an example takes is the machine's affair: beside other programs some take longer than the default of 0.2 s.
hypothesis.settings.register_profile("rrm", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("rrm")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-bfloat16", action="store_true", help="take this processor for one without bfloat16")


@pytest.fixture(scope="session", autouse=True)
def processor(request: pytest.FixtureRequest) -> Iterator[None]:
    """With --no-bfloat16, `auto` comes to float32 here, as on processors without the instructions."""
    with pytest.MonkeyPatch.context() as patch:
        if request.config.getoption("--no-bfloat16"):
            import torch

            patch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """New records on SQLite are copies of one that the migrations made, which takes a tenth of a second each time."""
    made = tmp_path_factory.mktemp("record")
    open_store(made).close()
    prepare, migrations = database._prepare, database.MIGRATIONS

    def copied(location: Location, busy_seconds: float) -> None:
        if location.url is None and not location.path.exists() and migrations == database.MIGRATIONS:
            shutil.copy(made / FILE, location.path)
        prepare(location, busy_seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_prepare", copied)
        yield


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str | None:
    """Where a new record shall be: in a file of the run's folder, or in a database of its own."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres")
