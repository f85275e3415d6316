"""What the station's pages are made for: the desk, the settings, and what else a run can tell."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Protocol
from urllib.parse import urlsplit

from rrm.core.desk import Desk, Sessions
from rrm.core.errors import ConfigError
from rrm.web.limits import Limits

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""The hosts that only this machine reaches."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class WebSettings:
    """How the server may be reached and how much one client may ask of it.

    `public_url` is where raters' browsers find the server: http or https, a host, perhaps a port, no
    path; empty for loopback only. `trusted_proxies` are addresses or networks whose X-Forwarded-For is
    believed. Limits count requests a minute: failed attempts to log in or join by address, answers and
    skips by rater, everything else by session. ConfigError for a URL or an address of another form.
    """

    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    attempts_a_minute: int = 5  # joins that fail, and log-ins to one name, by address; sessions that are none times ten
    answers_a_minute: int = 60  # of one rater
    requests_a_minute: int = 600  # of one session
    body_bytes: int = 2**20
    text_letters: int = 20_000  # in one text field
    list_items: int = 1_000
    request_seconds: float = 25.0  # from a request's first byte to its last

    def __post_init__(self) -> None:
        if self.public_url:
            object.__setattr__(self, "public_url", _public_url(self.public_url))
        for each in self.trusted_proxies:
            _network(each)

    def trusts(self, address: str) -> bool:
        """Whether an address is a trusted proxy's."""
        try:
            parsed = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        return any(parsed in _network(each) for each in self.trusted_proxies)

    @property
    def secure(self) -> bool:
        """Whether browsers reach the server over https."""
        return self.public_url.startswith("https:")

    @property
    def in_the_clear(self) -> bool:
        """Whether browsers on other machines reach the server over plain http."""
        return bool(self.public_url) and not self.secure and urlsplit(self.public_url).hostname not in LOOPBACK

    def hosts(self, port: int) -> frozenset[str]:
        """Return the Host headers that are answered: loopback's names with the port, and the public URL's host."""
        return frozenset(origin.partition("//")[2] for origin in self.origins(port))

    def origins(self, port: int) -> frozenset[str]:
        """Return the origins whose pages may change anything."""
        at = "" if port == 80 else f":{port}"  # browsers leave the scheme's own port out
        own = {f"http://{bracketed(name)}{at}" for name in LOOPBACK}
        return frozenset(own | {self.public_url} - {""})


class RunControl(Protocol):
    """The run that waits for the answers."""

    def status(self) -> dict[str, Any]: ...

    def train(self) -> None: ...


@dataclass(frozen=True)
class Gate:
    """What lets visitors in: their sessions, how the server may be reached, and what was asked of it of late."""

    sessions: Sessions
    settings: WebSettings
    limits: Limits


@dataclass(frozen=True)
class Station:
    """All that the pages work on.

    `trees` is what the tree viewer reads, `count` counts a text's tokens, `wider` gives what stands
    before a request's source, the source, and what stands behind it; each is None where nobody can say.
    """

    desk: Desk
    settings: WebSettings = WebSettings()
    trees: Any | None = None
    count: Callable[[str], int] | None = None
    run: RunControl | None = None
    wider: Callable[[str], tuple[str, str, str] | None] | None = None
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = time.time  # seconds since 1970, as the desk counts them

    @property
    def gate(self) -> Gate:
        return Gate(self.desk, self.settings, self.limits)


def _public_url(text: str) -> str:
    """Return a public URL as browsers write its origin: in small letters, without the scheme's own port."""
    refusal = ConfigError(
        f"the public URL {text[:200]!r} is not of the form https://host or http://host:port,"
        " without a path: give the address under which raters' browsers reach this server"
    )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise refusal from None
    if parts.scheme not in _DEFAULT_PORTS or not host or parts.path not in ("", "/") or "@" in parts.netloc:
        raise refusal
    if parts.query or parts.fragment or not text.isascii() or any(each.isspace() or each in "<>\"'\\" for each in text):
        raise refusal
    at = "" if port is None or port == _DEFAULT_PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{bracketed(host)}{at}"


@cache
def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        words = "give its IP address or network, such as 127.0.0.1 or 10.0.0.0/8"
        raise ConfigError(f"the trusted proxy {text[:100]!r} is no address: {words}") from None


def bracketed(host: str) -> str:
    """Return a host as it stands in URLs: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
