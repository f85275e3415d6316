"""For which work a known answer stands: what happens to that happens to it."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

WENT_BACK = sa.text("state = 'expired' AND stands_for IS NOT NULL")


def upgrade() -> None:
    op.add_column("lease", sa.Column("stands_for", sa.String, nullable=True))
    op.create_index("ix_lease_went_back", "lease", ["person"], sqlite_where=WENT_BACK, postgresql_where=WENT_BACK)
