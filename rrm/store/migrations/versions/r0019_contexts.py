"""Contexts: the earlier outputs that an output was made after, once for all outputs that share them."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from rrm.core.ids import exact_id
from rrm.store.migrations.append_only import append_only
from rrm.store.tables import WHOLE

revision = "0019"
down_revision = "0018"

_AT_ONCE = 1_000


def upgrade() -> None:
    context = op.create_table(
        "context",
        sa.Column("seq", WHOLE, primary_key=True),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("outputs", sa.JSON, nullable=False),
        sa.UniqueConstraint("id", name="uq_context_id"),
    )
    op.execute("CREATE TABLE output_before AS SELECT * FROM output")
    op.drop_table("output")
    output = op.create_table(
        "output",
        *_columns(sa.Column("context", sa.String, nullable=False)),
        sa.UniqueConstraint("id", name="uq_output_id"),
        sa.ForeignKeyConstraint(["context"], ["context.id"], name="fk_output_context_context"),
    )
    op.create_index("ix_output_node", "output", ["node"])
    before = sa.Table("output_before", sa.MetaData(), *_columns(sa.Column("context", sa.JSON)))
    _copy(before, context, output)
    op.drop_table("output_before")
    append_only("context", "output")


def _columns(context: sa.Column[Any]) -> list[sa.Column[Any]]:
    return [
        sa.Column("seq", WHOLE, primary_key=True),
        *(sa.Column(name, sa.String, nullable=False) for name in ("id", "node", "text", "policy")),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("inputs", sa.JSON, nullable=False),
        context,
        sa.Column("log_prob", sa.Float),
        sa.Column("truncated", sa.Boolean, nullable=False),
        sa.Column("citations", sa.JSON, nullable=False),
    ]


def _copy(before: sa.Table, context: sa.Table, output: sa.Table) -> None:
    """Put the outputs before into both tables, in the order of recording, some at a time."""
    connection = op.get_bind()
    kept = [column.name for column in before.c if column.name not in ("seq", "context")]
    known: set[str] = set()
    last = 0
    while True:
        asked = sa.select(before).where(before.c.seq > last).order_by(before.c.seq).limit(_AT_ONCE)
        rows = connection.execute(asked).mappings().all()
        if not rows:
            return
        last = rows[-1]["seq"]
        ids = [exact_id("context", row["context"]) for row in rows]
        new = {id_: row["context"] for id_, row in zip(ids, rows, strict=True) if id_ not in known}
        known.update(new)
        if new:
            connection.execute(context.insert(), [{"id": id_, "outputs": held} for id_, held in new.items()])
        made = [{"context": id_} | {name: row[name] for name in kept} for id_, row in zip(ids, rows, strict=True)]
        connection.execute(output.insert(), made)
