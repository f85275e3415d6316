"""Where a run's record is: in a file of the run's folder, or in a schema of a PostgreSQL database."""

import logging
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from rrm.core.errors import InputError, StoreError

FILE = "record.db"
URL_FILE = "record.url"
PASSWORD, PASSWORD_FILE = "RRM_STORE_PASSWORD", "RRM_STORE_PASSWORD_FILE"
_log = logging.getLogger("rrm.store")

_SECRET = frozenset({"password", "sslpassword"})  # what a URL may hold behind its question mark


@dataclass(frozen=True)
class Location:
    """A record: the file `path`, or the PostgreSQL database `url` that the file `path` names.

    One run has one `schema` in the database. `url` holds no password; `secret` has it where one was given
    for this opening.
    """

    path: Path
    url: URL | None = None
    schema: str = ""
    secret: URL | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def has_standby(self) -> bool:
        """Whether the URL names several hosts, of which one takes writes at a time."""
        return self.url is not None and isinstance(self.url.query.get("host"), tuple)


def locate(directory: Path, url: str | None = None) -> Location:
    """Return where the record of a run's folder is, or, where there is none yet, where it shall be.

    With `url` a new record gets a schema of its own there; for one that is there the URL must be the same,
    and can bring a password. Raises InputError for a URL that does not fit.
    """
    given = None if url is None else _warned(_read_url(url))
    file = directory / URL_FILE
    if file.exists():
        found = _read_file(file)
        if given is not None and _without_secrets(given) != found.url:
            raise InputError(f"{directory} was begun on {found.url}: leave the database away or name that one")
        return replace(found, secret=given)
    if given is None:
        return Location(directory / FILE)
    if (directory / FILE).exists():
        raise InputError(f"{directory} was begun with its record in {FILE}: leave the database away")
    return Location(file, _without_secrets(given), f"rrm_{secrets.token_hex(8)}", given)


def exists(location: Location) -> bool:
    """Whether the run's folder has this record, or says where it is."""
    return location.path.is_file()


def keep(location: Location) -> None:
    """Write down in the run's folder where the record is, without any password."""
    unfinished = location.path.with_name(location.path.name + ".part")
    with _named(location.path):
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(f"{_text(location.url)}\n{location.schema}\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(location.path)
        folder = os.open(location.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name itself must outlive a power cut
        finally:
            os.close(folder)


def _read_file(file: Path) -> Location:
    with _named(file):
        lines = file.read_text(encoding="utf-8").splitlines()
    if len(lines) != 2 or not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", lines[1]):
        raise StoreError(f"{file} is damaged: it must hold the URL of a database and, below it, the name of a schema")
    try:
        return Location(file, _without_secrets(_read_url(lines[0])), lines[1])
    except InputError as error:
        raise StoreError(f"{file} is damaged: {error}") from error


_SEVERAL = re.compile(
    r"(?P<user>postgresql://(?:[^@/?]*@)?)(?P<hosts>[^/?@]*,[^/?@]*)(?P<base>/[^?]*)?(?:\?(?P<rest>.*))?"
)


def _read_url(text: str) -> URL:
    text = re.sub(r"^postgres(ql\+psycopg)?://", "postgresql://", text)
    if several := _SEVERAL.fullmatch(text):  # as libpq writes them, where SQLAlchemy knows one host a parameter
        options = [f"host={host}" for host in several["hosts"].split(",")]
        options += [several["rest"]] if several["rest"] else []
        text = f"{several['user']}{several['base'] or '/'}?{'&'.join(options)}"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # their text may hold a password
        raise InputError("the database's URL cannot be read: write postgresql://user@host/database") from None
    if url.drivername != "postgresql":
        raise InputError(f"a record can be in a PostgreSQL database, not {url.drivername}: write postgresql://...")
    return url


def _warned(url: URL) -> URL:
    """Return a URL as it is, with a warning if it holds a password."""
    if url.password is not None or _SECRET & url.query.keys():
        _log.warning(
            "a password on the command line is seen by everybody on this machine:"
            " put it into $PGPASSWORD, or into ~/.pgpass, which only you can read"
        )
    return url


def _without_secrets(url: URL) -> URL:
    return url.difference_update_query(_SECRET)._replace(password=None)


def _text(url: URL | None) -> str:
    return "" if url is None else url.render_as_string(hide_password=False)


@contextmanager
def _named(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{file} cannot be read or written: {error}") from error
