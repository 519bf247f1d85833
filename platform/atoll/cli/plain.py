"""Tables of what others wrote, which is text and never markup."""

from rich.table import Table
from rich.text import Text


def plain_table(title: str, *columns: str) -> Table:
    """A table with a title and columns, which wrap where a line is too long."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def add_row(table: Table, *cells: str) -> None:
    """Add cells to a table as they are."""
    table.add_row(*map(Text, cells))
