"""Rate limits: how often one key may do one thing within a minute, counted in bounded memory."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from math import ceil

WINDOW = 60.0
"""Seconds over which requests are counted; a key's window opens with its first request."""

_MOST_KEYS = 100_000


class Limits:
    """Counts, by name of the limit and key; any thread may ask. `clock` gives seconds that never run backwards.

    The key that was counted longest ago is forgotten once there are more than `most_keys`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, most_keys: int = _MOST_KEYS) -> None:
        self._clock = clock
        self._most_keys = most_keys
        self._counts: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        self._turn = threading.Lock()

    def take(self, name: str, key: str, most: int, window: float = WINDOW) -> int:
        """Count one request; return 0 if it is among the `most` of these seconds, else the seconds to wait."""
        now = self._clock()
        with self._turn:
            opened, count = self._counts.get((name, key), (now, 0))
            if now - opened >= window:
                opened, count = now, 0
            if count >= most:
                return max(1, ceil(opened + window - now))
            self._counts[name, key] = opened, count + 1
            self._counts.move_to_end((name, key))
            if len(self._counts) > self._most_keys:
                self._counts.popitem(last=False)
        return 0

    def give_back(self, name: str, key: str) -> None:
        """Take a request out of the count again, as one that turned out not to be of the limited sort."""
        with self._turn:
            if (name, key) in self._counts:
                opened, count = self._counts[name, key]
                self._counts[name, key] = opened, max(0, count - 1)

    def __len__(self) -> int:
        return len(self._counts)


def address_key(address: str) -> str:
    """Return what an address is counted under: IPv6 by its first 64 bits, since one host has all the rest."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)
