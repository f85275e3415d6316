"""A place as JSON, and in words for people."""

from typing import Any

from rrm.core.desk import Catalogue
from rrm.core.place import Place


def place_json(place: Place) -> dict[str, Any]:
    """Return a place as text, such as "0/answer/2", and its parts."""
    return {"place": str(place), "round": place.round, "subject": place.subject, "level": place.level}


class Wording:
    """Says places as people read them: without the round, as long as a desk has items of the first one only."""

    def __init__(self, items: Catalogue) -> None:
        self.places = items.places()
        self._several = any(place.round > 0 for place in self.places)

    def __call__(self, place: Place) -> dict[str, Any]:
        """Return a place as JSON with its words in `where`."""
        return {**place_json(place), "where": place.words(self._several)}
