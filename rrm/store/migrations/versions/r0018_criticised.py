"""What critics wrote about outputs, as raters who mark claims were shown it."""

import sqlalchemy as sa
from alembic import op

from rrm.store.migrations.append_only import append_only
from rrm.store.tables import WHOLE

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "criticised",
        sa.Column("seq", WHOLE, primary_key=True),
        *(sa.Column(name, sa.String, nullable=False) for name in ("id", "output", "critic", "text")),
        sa.UniqueConstraint("id", name="uq_criticised_id"),
    )
    op.create_index("ix_criticised_output", "criticised", ["output"])
    append_only("criticised")
