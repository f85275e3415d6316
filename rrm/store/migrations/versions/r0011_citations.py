"""Citations: what an output's author says that it rests on; those recorded before cite nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("output", sa.Column("citations", sa.JSON, nullable=False, server_default=sa.text("'[]'")))
