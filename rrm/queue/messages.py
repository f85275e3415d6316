"""Messages to raters: announcements to all, and replies to what one has flagged."""

from typing import Any

from sqlalchemy import Connection, insert, or_, select

from rrm.core.annotation import Message
from rrm.core.errors import InputError, MissingError
from rrm.queue.audit import record_audit
from rrm.queue.base import Base
from rrm.queue.guidelines import latest_guideline, storable
from rrm.store.tables import table

MOST_CHARACTERS = 2_000
"""A longer text belongs into the guidelines."""

_MESSAGE, _SEEN, _FLAG, _PERSON = (table(name) for name in ("message", "seen", "flag", "person"))
_ALL = select(_MESSAGE).order_by(_MESSAGE.c.seq)


class Messages(Base):
    """The part of the desk that passes messages on."""

    def announce(self, text: str, by: str) -> int:
        """Tell all raters something; return the message's number."""
        return self._tell(text, by, None)

    def reply(self, flag: int, text: str, by: str) -> int:
        """Answer a flag, to the rater who raised it; return the message's number. MissingError for an unknown flag."""
        return self._tell(text, by, flag)

    def _tell(self, text: str, by: str, flag: int | None) -> int:
        kept = storable(text, "a message", MOST_CHARACTERS)
        if not kept.strip():
            raise InputError("a message says something: it is empty")

        def tell(connection: Connection) -> int:
            person = None
            if flag is not None:
                person = connection.execute(select(_FLAG.c.person).where(_FLAG.c.seq == flag)).scalar()
                if person is None:
                    raise MissingError(f"there is no flag {flag}")
            now = self.clock()
            row = {"at": now, "by": by, "person": person, "flag": flag, "text": kept}
            number = connection.execute(insert(_MESSAGE).returning(_MESSAGE.c.seq), [row]).scalar_one()
            what, subject = ("announce", "raters") if flag is None else ("reply", str(person))
            record_audit(connection, now, by, what, subject, None, number, latest_guideline(connection))
            return int(number)

        return self._do(tell)

    def messages(self) -> list[Message]:
        """Return all messages, in the order in which they were written."""
        with self._read() as connection:
            return [_message(row) for row in connection.execute(_ALL)]

    def inbox(self, person: str) -> list[Message]:
        """Return what somebody has not put away: replies, and what was announced since they came."""
        came = select(_PERSON.c.created).where(_PERSON.c.id == person).scalar_subquery()
        mine = or_(_MESSAGE.c.person == person, _MESSAGE.c.person.is_(None) & (_MESSAGE.c.at >= came))
        seen = select(_SEEN.c.message).where(_SEEN.c.person == person)
        with self._read() as connection:
            return [_message(row) for row in connection.execute(_ALL.where(mine, _MESSAGE.c.seq.not_in(seen)))]

    def put_away(self, person: str, message: int) -> None:
        """Note that somebody has read a message; a second time changes nothing. MissingError for one not theirs."""

        def note(connection: Connection) -> None:
            mine = or_(_MESSAGE.c.person == person, _MESSAGE.c.person.is_(None))
            if connection.execute(select(_MESSAGE.c.seq).where(mine, _MESSAGE.c.seq == message)).first() is None:
                raise MissingError(f"there is no message {message} for you")
            there = select(_SEEN.c.seq).where(_SEEN.c.person == person, _SEEN.c.message == message)
            if connection.execute(there).first() is None:
                connection.execute(insert(_SEEN), [{"person": person, "message": message, "at": self.clock()}])

        self._do(note)


def _message(row: Any) -> Message:
    return Message(row.seq, row.at, row.by, row.person, row.flag, row.text)
