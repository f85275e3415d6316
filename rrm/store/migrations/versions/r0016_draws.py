"""How many draws a belief was made of and how many count; older beliefs were made of none."""

import sqlalchemy as sa
from alembic import op

from rrm.store.tables import WHOLE

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("outlook", sa.Column("draws", WHOLE, nullable=False, server_default=sa.text("0")))
    op.add_column("outlook", sa.Column("effective", sa.Float, nullable=False, server_default=sa.text("0")))
    op.add_column("valuation", sa.Column("refit", sa.Boolean, nullable=False, server_default=sa.false()))
