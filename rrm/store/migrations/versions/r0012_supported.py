"""How probably the claims of outputs are supported, as raters were shown it."""

import sqlalchemy as sa
from alembic import op

from rrm.store.migrations.append_only import append_only
from rrm.store.tables import WHOLE

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "supported",
        sa.Column("seq", WHOLE, primary_key=True),
        *(sa.Column(name, sa.String, nullable=False) for name in ("id", "output", "model")),
        sa.Column("support", sa.JSON, nullable=False),
        sa.UniqueConstraint("id", name="uq_supported_id"),
    )
    op.create_index("ix_supported_output", "supported", ["output"])
    append_only("supported")
