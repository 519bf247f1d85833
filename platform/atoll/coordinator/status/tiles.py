"""The figures of a snapshot that are looked for first."""

from collections import Counter

from atoll.coordinator.status.cells import BAD, GOOD, NOTE, Cell, counts
from atoll.coordinator.status.values import UNKNOWN, WITHDRAWN, Snapshot


def tiles(snapshot: Snapshot) -> list[tuple[str, Cell]]:
    """The figures that are looked for first, each with its name."""
    owners, running = len(snapshot.admitted), snapshot.started is not None
    revoked = len(snapshot.owners) - owners
    consents = Counter(expert.consent for expert in snapshot.experts)
    kinds = Counter(work.work for work in snapshot.work)
    return [
        (
            "Nodes alive",
            Cell(
                text=f"{snapshot.alive} of {snapshot.alive + snapshot.silent}" if running else UNKNOWN,
                more=(f"{owners} owners admitted, {revoked} revoked",),
                mark=GOOD if running and not snapshot.silent else NOTE,
            ),
        ),
        (
            "Experts",
            Cell(text=str(len(snapshot.experts)), more=(counts(consents),), mark=NOTE if consents[WITHDRAWN] else GOOD),
        ),
        ("Releases", _releases(snapshot)),
        ("Work in progress", Cell(text=str(len(snapshot.work)), more=(counts(kinds),))),
        (
            "Failures",
            Cell(
                text=str(len(snapshot.failures) if snapshot.failed is None else snapshot.failed),
                more=("that the ledger knows" if snapshot.failed is None else "since the start",),
                mark=BAD if snapshot.failed else "",
            ),
        ),
    ]


def _releases(snapshot: Snapshot) -> Cell:
    number, stale = str(len(snapshot.releases)), sum(not release.usable for release in snapshot.releases)
    if not stale:
        return Cell(text=number, more=("all members permitted",), mark=GOOD)
    # That an owner leaves old releases behind is as it should be; that the newest still holds it is not.
    newest = not snapshot.releases[0].usable
    more = "the newest holds what may not be used" if newest else f"{stale} older with what may not be used"
    return Cell(text=number, more=(more,), mark=BAD if newest else NOTE)
