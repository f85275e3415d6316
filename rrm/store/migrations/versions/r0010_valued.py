"""How it stood each time that open items were ordered by value."""

import sqlalchemy as sa
from alembic import op

from rrm.store.migrations.append_only import append_only
from rrm.store.tables import WHOLE

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "valuation",
        sa.Column("seq", WHOLE, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        *(sa.Column(name, WHOLE, nullable=False) for name in ("answers", "open")),
        *(sa.Column(name, sa.Float, nullable=False) for name in ("minutes", "predicted", "expected", "gain")),
        sa.Column("stopped", sa.Boolean, nullable=False),
    )
    append_only("valuation")
