"""The tables of a run's record. A change here needs a migration beside it, in `migrations/versions`."""

from typing import Any

from sqlalchemy import BigInteger, Index, Integer, MetaData, Table, UniqueConstraint
from sqlalchemy.orm import declared_attr
from sqlmodel import JSON, Field, SQLModel

REVISION = "0021"
"""The newest migration, which is the schema that this module describes."""

APPLICATION_ID = 0x52524D31
"""Stands in the header of every SQLite file that is a record of rrm ("RRM1")."""

MUTABLE = frozenset(
    {"cache", "writer", "alembic_version"}
    | {"item", "lease", "draft", "place"}
    | {"person", "invitation", "panel", "session", "setting"}
)
"""The tables that are not append-only."""

WHOLE: Any = BigInteger().with_variant(Integer(), "sqlite")
"""The type of whole numbers: 64 bits on every database (SQLite counts rows only in what it calls INTEGER)."""


class Row(SQLModel):
    """Base of all tables; the table of class `OutputRow` is called output."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )

    @declared_attr.directive
    def __tablename__(cls) -> str:  # noqa: N805
        return cls.__name__.removesuffix("Row").lower()


class Value(Row):
    """Base of the tables that hold one kind of value each: `seq` is the order of recording."""

    seq: int | None = Field(default=None, primary_key=True, sa_type=WHOLE)
    id: str = Field(unique=True)


# ---- what was done ----


class ActionRow(Row, table=True):
    """A finished piece of work. Only one that `failed` may be followed by another attempt."""

    __table_args__ = (UniqueConstraint("id", "attempt"), Index(None, "step", "place"))
    seq: int = Field(primary_key=True, sa_type=WHOLE)
    id: str
    attempt: int = Field(sa_type=WHOLE)
    step: str
    place: str
    slot: str
    failed: bool


class LinkRow(Row, table=True):
    """Value number `position` of an action: the id `value` in the table that `kind` names."""

    __table_args__ = {"sqlite_with_rowid": False}
    action: int = Field(primary_key=True, foreign_key="action.seq", sa_type=WHOLE)
    position: int = Field(primary_key=True, sa_type=WHOLE)
    kind: str
    value: str


# ---- the values, column by column as in rrm.core ----


class SourceRow(Value, table=True):
    title: str
    text: str
    breaks: Any = Field(sa_type=JSON)
    skipped: Any = Field(sa_type=JSON)


class TreeRow(Value, table=True):
    root: str = Field(index=True)
    source: str | None
    graph: Any = Field(sa_type=JSON)


class ProposalRow(Value, table=True):
    proposal: Any = Field(sa_type=JSON)


class ViewRow(Value, table=True):
    instruction: str
    passages: Any = Field(sa_type=JSON)
    max_tokens: int = Field(sa_type=WHOLE)
    context: str


class ContextRow(Value, table=True):
    outputs: Any = Field(sa_type=JSON)


class OutputRow(Value, table=True):
    node: str = Field(index=True)
    text: str
    policy: str
    seed: int = Field(sa_type=BigInteger)
    inputs: Any = Field(sa_type=JSON)
    context: str = Field(foreign_key="context.id")
    log_prob: float | None
    truncated: bool
    citations: Any = Field(sa_type=JSON)


class RequestRow(Value, table=True):
    node: str = Field(index=True)
    source: str
    place: str
    kind: str
    view: str = Field(foreign_key="view.id")
    shown: Any = Field(sa_type=JSON)
    guideline: str
    # pydantic's own method is called `copy`, so here the attribute cannot be
    asking: int = Field(sa_type=WHOLE, sa_column_kwargs={"name": "copy"})
    criterion: str


class FeedbackRow(Value, table=True):
    request: str = Field(index=True)
    rater: str
    kind: str
    answer: Any = Field(sa_type=JSON)
    seconds: float | None
    confidence: float | None
    criterion: str


class RatedRow(Value, table=True):
    request: str = Field(foreign_key="request.id")
    feedback: str = Field(foreign_key="feedback.id")
    weight: float


class FailureRow(Value, table=True):
    subject: str
    step: str
    error: str
    cause: str


class FittedRow(Value, table=True):
    place: str
    path: str
    digest: str
    ratings: int = Field(sa_type=WHOLE)
    root: bool
    role: str
    anchored: bool


class ScoredRow(Value, table=True):
    output: str = Field(index=True)
    model: str
    rewards: bytes
    acceptance: bytes
    criterion: str


class FittedComposerRow(Value, table=True):
    place: str
    path: str
    composer: str


class ClaimsRow(Value, table=True):
    output: str = Field(index=True)
    claims: Any = Field(sa_type=JSON)


class SupportedRow(Value, table=True):
    output: str = Field(index=True)
    model: str
    support: bytes


class RolledoutRow(Value, table=True):
    output: str = Field(index=True)
    rollout: str
    consequence: Any = Field(sa_type=JSON)


class CriticisedRow(Value, table=True):
    output: str = Field(index=True)
    critic: str
    text: str


class ComposedRow(Value, table=True):
    output: str = Field(index=True)
    basis: str
    acceptance: bytes
    criterion: str


class ImprovementRow(Value, table=True):
    place: str
    path: str
    policy: str
    before: str
    anchor: str
    kl: float
    kl_budget: float
    how: str
    level: int | None = Field(sa_type=WHOLE)


class ChoiceRow(Value, table=True):
    place: str
    policy: str
    before: str
    gain: float
    nodes: int = Field(sa_type=WHOLE)
    chosen: bool
    by_node: Any = Field(sa_type=JSON)


class AskedRow(Value, table=True):
    request: str = Field(index=True)
    stream: str
    pool: str
    propensity: float
    value: float
    bundle: int = Field(sa_type=WHOLE)
    minutes: float


class OutlookRow(Value, table=True):
    place: str
    wave: int = Field(sa_type=WHOLE)
    pool: str
    questions: int = Field(sa_type=WHOLE)
    drawn: int = Field(sa_type=WHOLE)
    expected: float
    gain: float
    hour: float
    stopped: bool
    best: Any = Field(sa_type=JSON)
    weights: Any = Field(sa_type=JSON)
    draws: int = Field(sa_type=WHOLE)
    effective: float


class GoldRow(Value, table=True):
    output: str
    value: float


class CallRow(Value, table=True):
    asker: str
    about: str = Field(index=True)
    assistant: str
    system: str
    user: str
    sample: int = Field(sa_type=BigInteger)
    attempt: int = Field(sa_type=WHOLE)
    at: float
    seconds: float
    reply: str | None
    reason: str | None
    error: str | None
    input_tokens: int | None = Field(sa_type=WHOLE)
    output_tokens: int | None = Field(sa_type=WHOLE)
    cost: float | None
    cached: bool
    ending: str
    noticed: str


# ---- beside the values ----


class EventRow(Row, table=True):
    """Something that happened, `at` seconds since 1970."""

    seq: int | None = Field(default=None, primary_key=True, sa_type=WHOLE)
    at: float
    kind: str = Field(index=True)
    data: Any = Field(sa_type=JSON)


class SpentRow(Row, table=True):
    """So much of a kind (seconds, calls, input tokens, money) was used, `at` seconds since 1970."""

    seq: int | None = Field(default=None, primary_key=True, sa_type=WHOLE)
    at: float
    kind: str = Field(index=True)
    amount: float


class MetaRow(Row, table=True):
    """What was settled when the run began, such as its run file."""

    name: str = Field(primary_key=True)
    value: Any = Field(sa_type=JSON)


class WriterRow(Row, table=True):
    """Who writes a record in a database: `turn` is the number of the writer's last transaction.

    `epoch` counts who carried the run on, in the row of its driver, whose name is "run"; `holder` is that process,
    "" once it ended, and `seen` when it was heard of, in seconds since 1970 by the database's clock.
    """

    name: str = Field(primary_key=True)
    epoch: int = Field(sa_type=WHOLE)
    turn: int = Field(sa_type=WHOLE)
    holder: str
    seen: float


class CacheRow(Row, table=True):
    """Bytes by key, such as a model's reply; a later value takes the place of an earlier one."""

    table_name: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    value: bytes


def table(name: str) -> Table:
    """Return the table of this name."""
    return Row.metadata.tables[name]
