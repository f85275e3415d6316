"""Minutes that a chosen question was expected to take, and how much targets counted; nothing is known of older ones."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("asked", sa.Column("minutes", sa.Float, nullable=False, server_default=sa.text("0")))
    op.add_column("outlook", sa.Column("weights", sa.JSON, nullable=False, server_default=sa.text("'[]'")))
