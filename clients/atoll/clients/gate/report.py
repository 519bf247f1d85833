"""The outbox as a table."""

from collections import defaultdict

from rich.table import Table

from atoll.clients.gate.outbox import Outbox


def outbox_table(outbox: Outbox) -> Table:
    """Messages and bytes by day, coordinator and kind, with a sum."""
    counted: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for sent in outbox.entries():
        row = counted[sent.at[:10], sent.to, sent.asks]
        row[0] += 1
        row[1] += sent.bytes - sent.chunk
        row[2] += sent.chunk
    table = Table(title="What left this institution", show_footer=True)
    texts, chunks = (sum(row[place] for row in counted.values()) for place in (1, 2))
    table.add_column("day (UTC)", "all")
    table.add_column("to the coordinator")
    table.add_column("asked for")
    table.add_column("messages", f"{sum(row[0] for row in counted.values()):,}", justify="right")
    table.add_column("bytes of text", f"{texts:,}", justify="right")
    table.add_column("bytes of experts", f"{chunks:,}", justify="right")
    for (day, to, asks), (messages, text, chunk) in sorted(counted.items()):
        table.add_row(day, to, asks, f"{messages:,}", f"{text:,}", f"{chunk:,}")
    return table
