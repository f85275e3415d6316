"""Invitations: which browser used one."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("invitation", sa.Column("key", sa.String, nullable=True))
