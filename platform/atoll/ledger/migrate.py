"""Bring a database to this version's tables."""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from atoll.errors import LedgerError

_TURN = 0x41746F6C
"""PostgreSQL's name for the lock under which tables are made."""


def migrate(engine: Engine) -> None:
    """Make the tables, or change them from an older version's; two processes that do it at once take turns.

    Raises:
        LedgerError: the database holds something else, or is of a newer version of Atoll.
    """
    with engine.connect().execution_options(atoll_write=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": _TURN})
        config = Config()
        config.set_main_option("script_location", "atoll.ledger:migrations")
        scripts = ScriptDirectory.from_config(config)
        now = MigrationContext.configure(connection).get_current_revision()
        place = engine.url.render_as_string()
        if now is None and inspect(connection).get_table_names():
            raise LedgerError(f"{place}: holds other tables; a ledger needs a database of its own")
        if now is not None and now not in {each.revision for each in scripts.walk_revisions()}:
            raise LedgerError(f"{place}: was written by a newer version of Atoll ({now}); update this one")
        if now != scripts.get_current_head():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
