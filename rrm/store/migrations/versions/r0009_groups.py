"""Groups: of raters, of those who come by a panel, and of items that are theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

ROOM = sa.text("purpose = 'work' AND taken < wanted AND NOT closed")


def upgrade() -> None:
    for table in ("person", "panel", "item"):
        op.add_column(table, sa.Column("group", sa.String, nullable=False, server_default=""))
    op.drop_index("ix_item_room", "item")
    op.create_index("ix_item_room", "item", ["sheet", "group"], sqlite_where=ROOM, postgresql_where=ROOM)
