"""What several of the admin's routes need: numbers in paths, who is behind a pseudonym, when a figure is of."""

from typing import Annotated, Any

from fastapi import Path, Query

from rrm.core.annotation import Person
from rrm.core.desk import Roster
from rrm.web.figures import Computed

Whole = Annotated[int, Path(ge=0, le=2**31 - 1)]
Number = Annotated[int, Query(ge=0, le=2**53)]


def computed(found: Computed[Any] | None) -> dict[str, Any] | None:
    return {"at": found.at, "current": found.current} if found is not None else None


def names_for(people: Roster, viewer: Person) -> dict[str, str]:
    """Return who is behind the pseudonyms, to those who may know."""
    if viewer.role != "admin":
        return {}
    return {each.id: each.name for each in people.persons() if each.name is not None}
