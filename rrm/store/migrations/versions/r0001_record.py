"""The record: actions, the values they made, and what stands beside them."""

import sqlalchemy as sa
from alembic import op

from rrm.store.migrations.append_only import append_only
from rrm.store.tables import WHOLE

revision = "0001"
down_revision = None

VALUES = ("source", "tree", "view", "output", "request", "feedback", "failure", "fitted", "scored")
APPEND_ONLY = ("action", "link", *VALUES, "event", "spent", "meta")


def upgrade() -> None:
    op.create_table(
        "action",
        sa.Column("seq", WHOLE, primary_key=True),
        *texts("id"),
        sa.Column("attempt", WHOLE, nullable=False),
        *texts("step"),
        sa.Column("level", WHOLE, nullable=False),
        *texts("slot"),
        sa.Column("failed", sa.Boolean, nullable=False),
        sa.UniqueConstraint("id", "attempt", name="uq_action_id_attempt"),
    )
    op.create_index("ix_action_step_level", "action", ["step", "level"])
    op.create_table(
        "link",
        sa.Column("action", WHOLE, sa.ForeignKey("action.seq"), primary_key=True),
        sa.Column("position", WHOLE, primary_key=True),
        *texts("kind", "value"),
    )
    values()
    sequence("event", sa.Column("at", sa.Float, nullable=False), *texts("kind"), *jsons("data"))
    op.create_index("ix_event_kind", "event", ["kind"])
    amount = sa.Column("amount", sa.Float, nullable=False)
    sequence("spent", sa.Column("at", sa.Float, nullable=False), *texts("kind"), amount)
    op.create_index("ix_spent_kind", "spent", ["kind"])
    op.create_table("meta", sa.Column("name", sa.String, primary_key=True), *jsons("value"))
    op.create_table(
        "cache",
        sa.Column("table_name", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    append_only(*APPEND_ONLY)


def values() -> None:
    recorded("source", *texts("title", "text"), *jsons("breaks", "skipped"))
    recorded("tree", *texts("root"), sa.Column("source", sa.String), *jsons("graph"))
    op.create_index("ix_tree_root", "tree", ["root"])
    recorded("view", *texts("instruction"), *jsons("passages"), integer("max_tokens"), *texts("context"))
    recorded(
        "output",
        *texts("node", "text", "policy"),
        sa.Column("seed", sa.BigInteger, nullable=False),
        *jsons("inputs", "context"),
        sa.Column("log_prob", sa.Float),
        sa.Column("truncated", sa.Boolean, nullable=False),
    )
    op.create_index("ix_output_node", "output", ["node"])
    recorded(
        "request",
        *texts("node", "source"),
        integer("level"),
        *texts("kind"),
        sa.Column("view", sa.String, sa.ForeignKey("view.id"), nullable=False),
        *jsons("shown"),
        *texts("guideline"),
        integer("copy"),
    )
    seconds = sa.Column("seconds", sa.Float)
    recorded("feedback", *texts("request", "rater", "kind"), *jsons("answer"), seconds)
    op.create_index("ix_feedback_request", "feedback", ["request"])
    recorded("failure", *texts("subject", "step", "error", "cause"))
    recorded("fitted", integer("level"), *texts("path", "digest"), integer("ratings"))
    recorded("scored", *texts("output", "model"), *jsons("rewards", "acceptance"))
    op.create_index("ix_scored_output", "scored", ["output"])


def recorded(name: str, *columns: sa.Column) -> None:  # type: ignore[type-arg]
    """Make the table of one kind of value."""
    sequence(name, *texts("id"), *columns, sa.UniqueConstraint("id", name=f"uq_{name}_id"))


def sequence(name: str, *columns: sa.schema.SchemaItem) -> None:
    op.create_table(name, sa.Column("seq", WHOLE, primary_key=True), *columns)


def texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String, nullable=False) for name in names]


def integer(name: str) -> sa.Column[int]:
    return sa.Column(name, WHOLE, nullable=False)


def jsons(*names: str) -> list[sa.Column]:  # type: ignore[type-arg]
    return [sa.Column(name, sa.JSON, nullable=False) for name in names]
