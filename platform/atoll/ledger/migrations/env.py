"""Alembic runs this, on the connection that ``atoll.ledger.migrate`` gives it."""

from alembic import context

from atoll.ledger.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
