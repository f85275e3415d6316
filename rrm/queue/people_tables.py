"""The tables of people, their tokens and sessions, the guidelines, the settings and the audit."""

from typing import Any

from sqlalchemy import UniqueConstraint
from sqlmodel import JSON, Field

from rrm.store.tables import Row


class PersonRow(Row, table=True):
    """Somebody who rates or looks on. `name`, `participant` and `password` (a hash) go when they are forgotten."""

    __table_args__ = (UniqueConstraint("name"), UniqueConstraint("participant"))
    id: str = Field(primary_key=True)
    name: str | None
    role: str
    kind: str
    state: str
    participant: str | None
    password: str | None
    created: float


class InvitationRow(Row, table=True):
    """A one-use token of one person, by its hash; `used` is when, None while it can be used."""

    token: str = Field(primary_key=True)
    person: str = Field(foreign_key="person.id", index=True)
    expires: float
    used: float | None


class PanelRow(Row, table=True):
    """A token, by its hash, with which up to `places` participants of a panel join; `joined` did."""

    id: str = Field(primary_key=True)
    token: str = Field(unique=True)
    name: str
    places: int
    joined: int
    expires: float


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
