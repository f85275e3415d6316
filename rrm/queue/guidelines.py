"""The desk's guidelines, which only gain versions, and its settings, which are checked and audited."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from math import isfinite
from typing import Any, get_args

from sqlalchemy import Connection, delete, func, insert, select

from rrm.core.annotation import MOST_QUESTIONS, AuditEntry, DeskSettings, Guideline, Strategy
from rrm.core.errors import ConfigError, InputError, MissingError
from rrm.queue.audit import audit_entries, record_audit
from rrm.queue.base import Base
from rrm.queue.groups import checked_groups
from rrm.store.kinds import to_json
from rrm.store.tables import table

MOST_CHARACTERS = 100_000
"""A longer text of guidelines is refused: nobody reads it."""

_GUIDELINE, _SETTING = table("guideline"), table("setting")
_VERSION = (_GUIDELINE.c.version, _GUIDELINE.c.text, _GUIDELINE.c.at, _GUIDELINE.c.by)
_LATEST = select(func.max(_GUIDELINE.c.version))
_SETTINGS = select(_SETTING.c.name, _SETTING.c.value)


class Guidelines(Base):
    """The part of the desk that keeps guidelines, settings and the audit."""

    def guideline(self, version: int | None = None) -> Guideline:
        """Return a version of the guidelines, the latest by default; version 0 is empty and always there."""
        with self._read() as connection:
            wanted = latest_guideline(connection) if version is None else version
            found = connection.execute(select(*_VERSION).where(_GUIDELINE.c.version == wanted)).one_or_none()
        if found is None and wanted != 0:
            raise MissingError(f"there is no version {wanted} of the guidelines")
        return Guideline(0, "", 0.0, "system") if found is None else Guideline(*found)

    def set_guideline(self, text: str, by: str) -> Guideline:
        """Add a version; raise InputError for what is no text of up to `MOST_CHARACTERS` characters."""
        kept = storable(text, "the guidelines", MOST_CHARACTERS)

        def add(connection: Connection) -> Guideline:
            at, old = self.clock(), latest_guideline(connection)
            new = Guideline(old + 1, kept, at, by)
            connection.execute(insert(_GUIDELINE), [asdict(new)])
            record_audit(connection, at, by, "change guidelines", "guidelines", old, new.version, new.version)
            return new

        return self._do(add)

    def settings(self) -> DeskSettings:
        with self._read() as connection:
            return read_settings(connection)

    def change_settings(self, changes: Mapping[str, Any], by: str) -> DeskSettings:
        """Change the settings named; raise ConfigError, and change none, if one is unknown or does not fit."""
        checked = {name: checked_setting(name, value) for name, value in changes.items()}

        def change(connection: Connection) -> DeskSettings:
            old = asdict(read_settings(connection))
            changed = {name: value for name, value in checked.items() if value != old[name]}
            connection.execute(delete(_SETTING).where(_SETTING.c.name.in_(changed)))
            if changed:
                rows = [{"name": name, "value": to_json(value)} for name, value in changed.items()]
                connection.execute(insert(_SETTING), rows)
            was = {name: old[name] for name in changed}
            version = latest_guideline(connection)
            record_audit(connection, self.clock(), by, "change settings", "settings", was, changed, version)
            return read_settings(connection)

        return self._do(change)

    def audit(self, limit: int = 200, before: int | None = None, without: Sequence[str] = ()) -> list[AuditEntry]:
        """Return the latest entries first: those numbered below `before`, of no `what` in `without`."""
        with self._read() as connection:
            return audit_entries(connection, limit, before, without)


def latest_guideline(connection: Connection) -> int:
    """Return the number of the latest version of the guidelines, 0 if none was written."""
    return connection.execute(_LATEST).scalar() or 0


def read_settings(connection: Connection) -> DeskSettings:
    """Return the settings, those that nobody changed as they are by default."""
    return DeskSettings(**dict(connection.execute(_SETTINGS).all()))


def storable(text: Any, what: str, most: int) -> str:
    """Return a text that every database takes; raise InputError for anything else or above `most` characters."""
    if not isinstance(text, str):
        raise InputError(f"{what} must be a text, got {_brief(text)}")
    if len(text) > most:
        raise InputError(f"{what} may have {most:,} characters, got {len(text):,}")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(f"{what} must be text without NUL and half characters")
    return text


# ---- what a setting may be ----


def checked_setting(name: str, value: Any) -> Any:
    """Return a setting's value as it is kept; raise ConfigError for one that does not fit or a name that is none."""
    if name not in _CHECKS:
        raise ConfigError(f"there is no setting {name!r}; there are {', '.join(_CHECKS)}")
    try:
        return _CHECKS[name](value)
    except InputError as error:
        raise ConfigError(f"setting {name} {error}") from error


def _whole(low: int, high: int, never: bool = False) -> Callable[[Any], int]:
    """Check for a whole number from low to high or, where `never` is a choice, 0."""
    words = f"must be a whole number from {low} to {high:,}" + (", or 0 for never" if never else "")

    def check(value: Any) -> int:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (whole and (low <= value <= high or (never and value == 0))):
            raise InputError(f"{words}, got {_brief(value)}")
        return int(value)

    return check


def _number(low: float, high: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        known = isinstance(value, int | float) and not isinstance(value, bool)
        if not (known and low <= value <= high and isfinite(value)):
            raise InputError(f"must be a number from {low:g} to {high:g}, got {_brief(value)}")
        return float(value)

    return check


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"must be true or false, got {_brief(value)}")
    return value


def _strategy(value: Any) -> str:
    if value not in get_args(Strategy):
        raise InputError(f"must be one of {', '.join(get_args(Strategy))}, got {_brief(value)}")
    return str(value)


def _consent(value: Any) -> str:
    return storable(value, "of a consent", 20_000)


def _completion_code(value: Any) -> str:
    if not (isinstance(value, str) and len(value) <= 100 and value.isprintable()):
        raise InputError(f"must be one line of up to 100 printable characters, got {_brief(value)}")
    return value


def _parameter(value: Any) -> str:
    plain = isinstance(value, str) and value.isascii() and value.isidentifier() and len(value) <= 64
    if not plain:
        raise InputError(f"must be up to 64 letters, digits and underlines, no digit first, got {_brief(value)}")
    return str(value)


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "overlap": _whole(1, 100),
    "strategy": _strategy,
    "lease_seconds": _number(1, 604_800),
    "gold_every": _whole(2, 1_000_000, never=True),
    "attention_every": _whole(2, 1_000_000, never=True),
    "practice_items": _whole(0, 1_000),
    "practice_pass": _number(0, 1),
    "practice_tries": _whole(1, 100),
    "undo_limit": _whole(0, 100),
    "grace_seconds": _number(0, 604_800),
    "auto_freeze": _truth,
    "rating_points": _whole(2, 10),
    "markdown": _truth,
    "rater_share": _number(0.01, 1),
    "sheet": _whole(1, MOST_QUESTIONS),
    "consent": _consent,
    "completion_code": _completion_code,
    "participant_parameter": _parameter,
    "groups": checked_groups,
}
assert set(_CHECKS) == {each.name for each in fields(DeskSettings)}


def _brief(value: Any) -> str:
    return f"{value!r:.60}"
