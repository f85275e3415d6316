"""What stands around the source of an item."""

from collections.abc import Callable

from rrm.core.desk import Catalogue


class Wider:
    """What stands around a request's source: told of all items or of none.

    Checks from a file have none. So nobody is told it while there is such a check, which it would give away.
    """

    def __init__(self, of: Callable[[str], tuple[str, str, str] | None] | None, items: Catalogue) -> None:
        self._of, self._items = of, items
        self._looked: tuple[frozenset[str], bool] = frozenset(), True

    def __call__(self, request: str) -> tuple[str, str, str] | None:
        return self._of(request) if self._of is not None and self._is_told(self._of) else None

    def _is_told(self, of: Callable[[str], tuple[str, str, str] | None]) -> bool:
        checks = frozenset(self._items.checks())
        if self._looked[0] != checks:
            self._looked = checks, all(of(each) is not None for each in checks)
        return self._looked[1]
