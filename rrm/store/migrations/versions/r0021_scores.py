"""Scores as the bytes of their floats: as JSON text they took more than twice the room."""

import json
import struct
from typing import Any

import sqlalchemy as sa
from alembic import op

from rrm.store.migrations.append_only import append_only
from rrm.store.tables import WHOLE

revision = "0021"
down_revision = "0020"

_AT_ONCE = 1_000
_TABLES = {  # the columns between `id` and the end, and which of them are scores
    "scored": (("output", "model", "rewards", "acceptance", "criterion"), ("rewards", "acceptance")),
    "composed": (("output", "basis", "acceptance", "criterion"), ("acceptance",)),
    "supported": (("output", "model", "support"), ("support",)),
}


def upgrade() -> None:
    for name, (columns, scores) in _TABLES.items():
        op.execute(f"CREATE TABLE {name}_before AS SELECT * FROM {name}")  # noqa: S608  # the names above
        op.drop_table(name)
        made = op.create_table(
            name,
            sa.Column("seq", WHOLE, primary_key=True),
            sa.Column("id", sa.String, nullable=False),
            *(sa.Column(each, sa.LargeBinary if each in scores else sa.String, nullable=False) for each in columns),
            sa.UniqueConstraint("id", name=f"uq_{name}_id"),
        )
        op.create_index(f"ix_{name}_output", name, ["output"])
        _copy(name, columns, scores, made)
        op.drop_table(f"{name}_before")
    append_only(*_TABLES)


def _copy(name: str, columns: tuple[str, ...], scores: tuple[str, ...], made: sa.Table) -> None:
    """Put the rows before into the new table, in the order of recording, some at a time."""
    connection = op.get_bind()
    texts = [sa.cast(sa.column(each), sa.String).label(each) for each in scores]
    kept: list[sa.ColumnElement[Any]] = [sa.column(each) for each in ("seq", "id", *columns) if each not in scores]
    asked = sa.select(*kept, *texts).select_from(sa.table(f"{name}_before")).order_by(sa.column("seq")).limit(_AT_ONCE)
    last = 0
    while rows := connection.execute(asked.where(sa.column("seq") > last)).mappings().all():
        last = rows[-1]["seq"]
        plain = [{key: held for key, held in row.items() if key != "seq"} for row in rows]
        connection.execute(made.insert(), [{**row, **{each: _packed(row[each]) for each in scores}} for row in plain])


def _packed(text: Any) -> bytes:
    numbers = json.loads(text)
    return struct.pack(f"<{len(numbers)}d", *numbers)
