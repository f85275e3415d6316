"""The tables of people, their tokens and sessions, the guidelines, the settings and the audit."""

from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import JSON, Field

from rrm.store.tables import Row


class PersonRow(Row, table=True):
    """Somebody who rates or looks on. Once they are forgotten, `name`, `participant`, `password` and `device` go.

    `group` is whose items they get beside those for all, `panel` the one they came by, `device` the hash of the
    browser's name with which they did; `resumes` is the state that somebody who is paused goes back to.
    """

    __table_args__ = (UniqueConstraint("name"), UniqueConstraint("participant"))
    id: str = Field(primary_key=True)
    name: str | None
    role: str
    kind: str
    state: str
    participant: str | None
    password: str | None
    created: float
    panel: str | None
    device: str | None
    resumes: str | None
    group: str = Field(default="", sa_column_kwargs={"server_default": ""})


class InvitationRow(Row, table=True):
    """A one-use token of one person, by its hash; `used` is when, None while it can be used.

    `key` is the hash of what the page that used it made up, with which it may ask again for a lost reply.
    """

    token: str = Field(primary_key=True)
    person: str = Field(foreign_key="person.id", index=True)
    expires: float
    used: float | None
    key: str | None


class PanelRow(Row, table=True):
    """A token, by its hash, with which up to `places` participants of a panel join; `joined` did.

    Each gives up to `quota` answers (0: as many as there are). `completion` and `screen_out` are exits with `code`
    and `url`. `allowed` holds the hashes of the ids that may join, None for any; `secret` signs links, "" where
    none are signed; `id_pattern` is a regular expression that ids fit, "" for any.
    """

    id: str = Field(primary_key=True)
    token: str = Field(unique=True)
    name: str
    places: int
    joined: int
    expires: float
    quota: int
    completion: Any = Field(sa_type=JSON)
    screen_out: Any = Field(sa_type=JSON)
    allowed: Any = Field(sa_type=JSON)
    secret: str
    id_pattern: str
    group: str = Field(default="", sa_column_kwargs={"server_default": ""})


class SessionRow(Row, table=True):
    """Somebody's session, by its token's hash; `seen` is up to a minute old, `kept` says that it is a long one."""

    token: str = Field(primary_key=True)
    person: str = Field(foreign_key="person.id", index=True)
    created: float
    seen: float
    kept: bool


class GuidelineRow(Row, table=True):
    """One version of the guidelines, `at` seconds since 1970."""

    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    text: str
    at: float
    by: str


class ConsentTextRow(Row, table=True):
    """A text that people agreed to, by its hash."""

    id: str = Field(primary_key=True)
    text: str


class ConsentRow(Row, table=True):
    """That somebody agreed to a text."""

    __table_args__ = (Index("ix_consent_person", "person"),)
    seq: int | None = Field(default=None, primary_key=True)
    person: str = Field(foreign_key="person.id")
    text: str = Field(foreign_key="consenttext.id")
    at: float


class AcknowledgedRow(Row, table=True):
    """That somebody has read a version of the guidelines."""

    __table_args__ = (Index("ix_acknowledged_person", "person"),)
    seq: int | None = Field(default=None, primary_key=True)
    person: str = Field(foreign_key="person.id")
    version: int
    at: float


class SettingRow(Row, table=True):
    """A setting of the desk that is not as it is by default."""

    name: str = Field(primary_key=True)
    value: Any = Field(sa_type=JSON)


class AuditRow(Row, table=True):
    """Who did what, `at` seconds since 1970, and how it was before and after."""

    seq: int | None = Field(default=None, primary_key=True)
    at: float
    by: str
    what: str
    subject: str
    old: Any = Field(sa_type=JSON)
    new: Any = Field(sa_type=JSON)
    guideline: int
