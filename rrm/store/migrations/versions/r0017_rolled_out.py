"""What came of outputs, as raters in hindsight were shown it."""

import sqlalchemy as sa
from alembic import op

from rrm.store.migrations.append_only import append_only
from rrm.store.tables import WHOLE

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "rolledout",
        sa.Column("seq", WHOLE, primary_key=True),
        *(sa.Column(name, sa.String, nullable=False) for name in ("id", "output", "rollout")),
        sa.Column("consequence", sa.JSON, nullable=False),
        sa.UniqueConstraint("id", name="uq_rolledout_id"),
    )
    op.create_index("ix_rolledout_output", "rolledout", ["output"])
    append_only("rolledout")
