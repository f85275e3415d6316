"""Links by their key alone on SQLite, which held it twice; and contexts may be packed, as no earlier rrm reads them."""

import sqlalchemy as sa
from alembic import op

from rrm.store.migrations.append_only import append_only
from rrm.store.tables import WHOLE

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute("CREATE TABLE link_before AS SELECT * FROM link")
    op.drop_table("link")
    op.create_table(
        "link",
        sa.Column("action", WHOLE, nullable=False),
        sa.Column("position", WHOLE, nullable=False),
        *(sa.Column(name, sa.String, nullable=False) for name in ("kind", "value")),
        sa.PrimaryKeyConstraint("action", "position", name="pk_link"),
        sa.ForeignKeyConstraint(["action"], ["action.seq"], name="fk_link_action_action"),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO link SELECT * FROM link_before ORDER BY action, position")
    op.drop_table("link_before")
    append_only("link")
