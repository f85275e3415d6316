"""Why questions were put, and how it stood before each wave of them."""

import sqlalchemy as sa
from alembic import op

from rrm.store.migrations.append_only import append_only
from rrm.store.tables import WHOLE

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "asked",
        sa.Column("seq", WHOLE, primary_key=True),
        *(sa.Column(name, sa.String, nullable=False) for name in ("id", "request", "stream", "pool")),
        *(sa.Column(name, sa.Float, nullable=False) for name in ("propensity", "value")),
        sa.Column("bundle", WHOLE, nullable=False),
        sa.UniqueConstraint("id", name="uq_asked_id"),
    )
    op.create_index("ix_asked_request", "asked", ["request"])
    op.create_table(
        "outlook",
        sa.Column("seq", WHOLE, primary_key=True),
        *(sa.Column(name, sa.String, nullable=False) for name in ("id", "place")),
        sa.Column("wave", WHOLE, nullable=False),
        sa.Column("pool", sa.String, nullable=False),
        *(sa.Column(name, WHOLE, nullable=False) for name in ("questions", "drawn")),
        *(sa.Column(name, sa.Float, nullable=False) for name in ("expected", "gain", "hour")),
        sa.Column("stopped", sa.Boolean, nullable=False),
        sa.Column("best", sa.JSON, nullable=False),
        sa.UniqueConstraint("id", name="uq_outlook_id"),
    )
    append_only("asked")
    append_only("outlook")
