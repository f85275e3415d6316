"""What people agreed to, and which version of the guidelines they have read, each with its time."""

from sqlalchemy import Connection, bindparam, func, insert, select

from rrm.core.annotation import Unread, consent_id
from rrm.core.errors import ConflictError, InputError
from rrm.queue.audit import record_audit
from rrm.queue.base import Base
from rrm.queue.guidelines import latest_guideline, read_settings
from rrm.store.tables import table

_CONSENT, _TEXT, _ACKNOWLEDGED = (table(name) for name in ("consent", "consenttext", "acknowledged"))

# both are asked before every item
_AGREED = (
    select(_CONSENT.c.seq).where(_CONSENT.c.person == bindparam("me"), _CONSENT.c.text == bindparam("one")).limit(1)
)
_LAST_READ = select(func.max(_ACKNOWLEDGED.c.version)).where(_ACKNOWLEDGED.c.person == bindparam("me"))


class Consents(Base):
    """The part of the desk that knows who has agreed to what, and read what."""

    def unread(self, person: str) -> Unread:
        """Return what somebody has to agree to or to read before the next item."""
        with self._read() as connection:
            text, latest = read_settings(connection).consent, latest_guideline(connection)
            agreed = not text or _has_agreed(connection, person, consent_id(text))
            last = _last_read(connection, person) if latest else 0
        return Unread(None if agreed else text, last if last < latest else None)

    def agree(self, person: str, text: str) -> None:
        """Record that somebody agreed to the consent text of this id; ConflictError if it is another one by now."""

        def record(connection: Connection) -> None:
            record_consent(connection, person, text, self.clock())

        self._do(record)

    def acknowledge(self, person: str, version: int) -> None:
        """Record that somebody has read a version of the guidelines; a second time changes nothing.

        InputError for a version that there is not.
        """

        def record(connection: Connection) -> None:
            latest = latest_guideline(connection)
            if not 1 <= version <= latest:
                raise InputError(f"there is no version {version} of the guidelines; the latest is {latest}")
            if version > _last_read(connection, person):
                now = self.clock()
                connection.execute(insert(_ACKNOWLEDGED), [{"person": person, "version": version, "at": now}])
                record_audit(connection, now, person, "read guidelines", "guidelines", None, version, version)

        self._do(record)

    def consents(self) -> list[tuple[str, str, float]]:
        """Return who agreed to what: person, text, and seconds since 1970."""
        asked = select(_CONSENT.c.person, _TEXT.c.text, _CONSENT.c.at).join_from(
            _CONSENT, _TEXT, _CONSENT.c.text == _TEXT.c.id
        )
        with self._read() as connection:
            return [(row.person, row.text, row.at) for row in connection.execute(asked.order_by(_CONSENT.c.seq))]


def record_consent(connection: Connection, person: str, id: str, now: float) -> None:
    """Record that somebody agreed to the text of this id; ConflictError if the text to agree to is another one."""
    text = read_settings(connection).consent
    if not text:
        return
    if consent_id(text) != id:
        raise ConflictError("the consent text was changed in the meantime: load the page and read it again")
    if _has_agreed(connection, person, id):
        return
    if connection.execute(select(_TEXT.c.id).where(_TEXT.c.id == id)).first() is None:
        connection.execute(insert(_TEXT), [{"id": id, "text": text}])
    connection.execute(insert(_CONSENT), [{"person": person, "text": id, "at": now}])
    record_audit(connection, now, person, "consent", person, None, id, latest_guideline(connection))


def _has_agreed(connection: Connection, person: str, id: str) -> bool:
    return connection.execute(_AGREED, {"me": person, "one": id}).first() is not None


def _last_read(connection: Connection, person: str) -> int:
    return connection.execute(_LAST_READ, {"me": person}).scalar() or 0
