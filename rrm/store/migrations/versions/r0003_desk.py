"""The desk: items, who holds them, and what came in."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from rrm.store.migrations.append_only import append_only

revision = "0003"
down_revision = "0002"

ROOM = "purpose = 'work' AND taken < wanted AND NOT closed"
TOUCHED = "state NOT IN ('expired', 'undone')"
HELD = "state = 'live'"


def upgrade() -> None:
    op.create_index("ix_request_node", "request", ["node"])
    items()
    leases()
    op.create_table(
        "level",
        sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
        *numbers("frozen", "taken_up", nullable=True),
    )
    answers()
    append_only("given", "retraction", "skip", "flag")


def items() -> None:
    op.create_table(
        "item",
        sequence(),
        sa.Column("id", sa.String, sa.ForeignKey("request.id"), nullable=False),
        *texts("question", "purpose"),
        *integers("level"),
        *texts("kind", "node"),
        *integers("wanted", "taken", "given"),
        *numbers("value", "disagreement", "shuffle"),
        *truths("closed", "settled"),
        *numbers("changed"),
        *jsons("expected"),
        *texts("explanation"),
        sa.UniqueConstraint("id", name="uq_item_id"),
        sa.CheckConstraint(
            "purpose <> 'work' OR (0 <= given AND given <= taken AND taken <= wanted)", name="ck_item_room"
        ),
    )
    for name, first in (("valuable", "value"), ("least_done", "taken"), ("disagreement", "disagreement")):
        partial(f"ix_item_{name}", "item", [first, "shuffle"], ROOM)
    partial("ix_item_check", "item", ["purpose"], "purpose <> 'work'")
    op.create_index("ix_item_level", "item", ["level", "kind"])
    op.create_index("ix_item_question", "item", ["question"])


def leases() -> None:
    op.create_table(
        "lease",
        sa.Column("id", sa.String, primary_key=True),
        of_item(),
        *texts("question", "person", "purpose"),
        *integers("attempt"),
        *jsons("order"),
        *integers("guideline", "points"),
        *texts("shown"),
        *numbers("at", "expires"),
        *texts("state"),
    )
    partial("uq_lease_question", "lease", ["question", "person", "attempt"], TOUCHED, unique=True)
    partial("uq_lease_held", "lease", ["person"], HELD, unique=True)
    partial("ix_lease_expires", "lease", ["expires"], HELD)
    op.create_index("ix_lease_person", "lease", ["person", "item"])
    partial("ix_lease_item", "lease", ["item"], HELD)
    op.create_table(
        "draft",
        sa.Column("person", sa.String, primary_key=True),
        sa.Column("item", sa.String, primary_key=True),
        *jsons("content"),
        *numbers("at"),
    )


def answers() -> None:
    op.create_table(
        "given",
        sequence(),
        *texts("id", "key"),
        sa.Column("lease", sa.String),
        of_item(),
        *texts("person", "answer_kind"),
        *jsons("answer", "order"),
        *integers("guideline"),
        *texts("shown"),
        *numbers("at"),
        *numbers("seconds", nullable=True),
        *numbers("wall_seconds"),
        *numbers("confidence", nullable=True),
        *jsons("detail"),
        *texts("purpose"),
        *integers("level"),
        *texts("node", "kind"),
        sa.Column("right", sa.Boolean),
        *truths("adjudication"),
        *integers("attempt"),
        sa.UniqueConstraint("id", name="uq_given_id"),
        sa.UniqueConstraint("lease", name="uq_given_lease"),
        sa.UniqueConstraint("person", "key", name="uq_given_person_key"),
    )
    op.create_index("ix_given_item", "given", ["item"])
    op.create_index("ix_given_person", "given", ["person", "seq"])
    op.create_index("ix_given_level", "given", ["level", "seq"])
    op.create_table(
        "retraction",
        sequence(),
        sa.Column("given", sa.String, sa.ForeignKey("given.id"), nullable=False),
        *texts("state"),
        *numbers("at"),
        *texts("by"),
        sa.UniqueConstraint("given", name="uq_retraction_given"),
    )
    op.create_table(
        "skip",
        sequence(),
        *texts("key", "lease"),
        of_item(),
        *texts("person", "reason"),
        *numbers("at"),
        *integers("level"),
        sa.UniqueConstraint("person", "key", name="uq_skip_person_key"),
        sa.UniqueConstraint("lease", name="uq_skip_lease"),
    )
    op.create_table("flag", sequence(), of_item(), *texts("person", "text"), *numbers("at"))


def partial(name: str, table: str, columns: list[str], condition: str, unique: bool = False) -> None:
    where: dict[str, Any] = {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}
    op.create_index(name, table, columns, unique=unique, **where)


def sequence() -> sa.Column[int]:
    return sa.Column("seq", sa.Integer, primary_key=True)


def of_item() -> sa.Column[str]:
    return sa.Column("item", sa.String, sa.ForeignKey("item.id"), nullable=False)


def texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String, nullable=False) for name in names]


def integers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer, nullable=False) for name in names]


def numbers(*names: str, nullable: bool = False) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Float, nullable=nullable) for name in names]


def truths(*names: str) -> list[sa.Column[bool]]:
    return [sa.Column(name, sa.Boolean, nullable=False) for name in names]


def jsons(*names: str) -> list[sa.Column]:  # type: ignore[type-arg]
    return [sa.Column(name, sa.JSON, nullable=False) for name in names]
