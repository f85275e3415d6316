"""What alembic runs to migrate: the connection comes from `rrm.store.database`.

To change the schema, change `tables.py`, add `versions/NNNN` with the steps (a table that is made
anew needs its triggers again), and set `REVISION`; the tests compare the two.
"""

from alembic import context

from rrm.store.tables import Row

if __name__ == "env_py":  # the name under which alembic runs this file
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Row.metadata,
        render_as_batch=True,
        transactional_ddl=True,
    )
    context.run_migrations()
