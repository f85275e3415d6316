"""A station with an item of every kind and somebody of every role: made once, and copied for whoever changes it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from rrm.core.annotation import Person, Role
from rrm.queue import open_desk
from rrm.web.station import Station
from tests.web.stations import ALL_KINDS, PASSWORD, PLENTY, House, house_in, items_of

PEOPLE: dict[str, Role] = {
    "anna": "annotator",
    "ben": "annotator",
    "jude": "adjudicator",
    "ada": "admin",
    "rita": "reader",
}


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[Person, str]]]:
    """A closed desk with two items of every kind, and everybody's session."""
    directory = tmp_path_factory.mktemp("furnished") / "run"
    with house_in(directory, items_of(ALL_KINDS, each=2, wanted=2)) as made:
        for name, role in PEOPLE.items():
            made.add(name, role)
        made.desk.set_password(made.persons["ada"].id, PASSWORD, by="test")
        return directory, [(person, made.session(name)) for name, person in made.persons.items()]


def _opened(directory: Path, sessions: list[tuple[Person, str]]) -> Iterator[House]:
    with open_desk(directory, random=Random(1)) as desk:  # another seed, so other ids, than it was made with
        house = House(Station(desk, PLENTY))
        for person, session in sessions:
            house.take_in(person, session)
        yield house


@pytest.fixture
def house(furnished: tuple[Path, list[tuple[Person, str]]], tmp_path: Path) -> Iterator[House]:
    """A station of one's own."""
    directory, sessions = furnished
    shutil.copytree(directory, tmp_path / "run")
    yield from _opened(tmp_path / "run", sessions)


@pytest.fixture(scope="session")
def shared(
    furnished: tuple[Path, list[tuple[Person, str]]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """A station for tests that leave no trace which another test would notice."""
    directory, sessions = furnished
    own = tmp_path_factory.mktemp("shared") / "run"
    shutil.copytree(directory, own)
    yield from _opened(own, sessions)
