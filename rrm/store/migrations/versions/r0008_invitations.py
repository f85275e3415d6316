"""Invitations: which browser used one."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("invitation", sa.Column("key", sa.String, nullable=True))
