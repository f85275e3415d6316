"""What was used last, kept at hand."""

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """The `most` values that were used last, by id, for what never changes under its id; any thread may use it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[str, T] = {}
        self._gate = threading.Lock()

    def get(self, id: str) -> T | None:
        with self._gate:
            found = self._values.pop(id, None)
            if found is not None:
                self._values[id] = found
            return found

    def forget(self, id: str) -> None:
        with self._gate:
            self._values.pop(id, None)

    def put(self, id: str, value: T) -> None:
        with self._gate:
            self._values[id] = value
            if len(self._values) > self._most:
                del self._values[next(iter(self._values))]
