"""Who writes a record in a database: the driver's epoch, and the last transaction of every writer."""

import sqlalchemy as sa
from alembic import op

from rrm.store.tables import WHOLE

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "writer",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("epoch", WHOLE, nullable=False),
        sa.Column("turn", WHOLE, nullable=False),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("seen", sa.Float, nullable=False),
    )
