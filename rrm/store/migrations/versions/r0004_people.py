"""People with their tokens and sessions, the guidelines, the settings and the audit."""

import sqlalchemy as sa
from alembic import op

from rrm.store.migrations.append_only import append_only

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "person",
        key("id"),
        sa.Column("name", sa.String),
        *texts("role", "kind", "state"),
        *(sa.Column(name, sa.String) for name in ("participant", "password")),
        time("created"),
        sa.UniqueConstraint("name", name="uq_person_name"),
        sa.UniqueConstraint("participant", name="uq_person_participant"),
    )
    op.create_table("invitation", key("token"), somebody(), time("expires"), sa.Column("used", sa.Float))
    op.create_index("ix_invitation_person", "invitation", ["person"])
    op.create_table(
        "panel",
        key("id"),
        *texts("token", "name"),
        *integers("places", "joined"),
        time("expires"),
        sa.UniqueConstraint("token", name="uq_panel_token"),
    )
    op.create_table("session", key("token"), somebody(), time("created"), time("seen"))
    op.create_index("ix_session_person", "session", ["person"])
    version = sa.Column("version", sa.Integer, primary_key=True, autoincrement=False)
    op.create_table("guideline", version, *texts("text"), time("at"), *texts("by"))
    op.create_table("setting", key("name"), *jsons("value"))
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer, primary_key=True),
        time("at"),
        *texts("by", "what", "subject"),
        *jsons("old", "new"),
        *integers("guideline"),
    )
    append_only("guideline", "audit")


def key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String, primary_key=True)


def somebody() -> sa.Column[str]:
    return sa.Column("person", sa.String, sa.ForeignKey("person.id"), nullable=False)


def time(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Float, nullable=False)


def texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String, nullable=False) for name in names]


def integers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer, nullable=False) for name in names]


def jsons(*names: str) -> list[sa.Column]:  # type: ignore[type-arg]
    return [sa.Column(name, sa.JSON, nullable=False) for name in names]
