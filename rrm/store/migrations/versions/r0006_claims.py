"""Claims: what the outputs of a tree rest on."""

import sqlalchemy as sa
from alembic import op

from rrm.store.migrations.append_only import append_only
from rrm.store.tables import WHOLE

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "claims",
        sa.Column("seq", WHOLE, primary_key=True),
        *(sa.Column(name, sa.String, nullable=False) for name in ("id", "output")),
        sa.Column("claims", sa.JSON, nullable=False),
        sa.UniqueConstraint("id", name="uq_claims_id"),
    )
    op.create_index("ix_claims_output", "claims", ["output"])
    append_only("claims")
