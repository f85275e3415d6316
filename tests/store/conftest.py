"""What the tests of the record share: a later rrm."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rrm.store import database
from rrm.store.database import MIGRATIONS
from rrm.store.tables import REVISION

NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{revision}"


def upgrade() -> None:
    op.create_table("extra", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("INSERT INTO extra VALUES (7)")
    {then}
"""


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend to be a later rrm, whose schema has one migration more, ending with a statement."""

    def pretend(then: str = "pass") -> None:
        folder = tmp_path / "migrations"
        shutil.copytree(MIGRATIONS, folder)
        (folder / "versions" / "next.py").write_text(NEXT.format(revision=REVISION, then=then))
        monkeypatch.setattr(database, "MIGRATIONS", folder)
        monkeypatch.setattr(database, "REVISION", "next")

    return pretend
