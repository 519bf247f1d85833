"""The ledger's table. Its form changes by a migration only; see ``migrations``."""

from sqlalchemy import BigInteger, Column, MetaData, String, Table, Text

metadata = MetaData()

events = Table(
    "events",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", String(40), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("previous", String(71), nullable=False),
    Column("digest", String(71), nullable=False),
)
