"""A snapshot as Prometheus reads it."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from atoll.coordinator.status.values import GIVEN, RESTRICTED, WITHDRAWN, Snapshot


def metrics_text(snapshot: Snapshot) -> bytes:
    """In Prometheus' text format; what only a running server knows is left out where none is running."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Taken(snapshot))
    return generate_latest(registry)


class _Taken(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        yield from _written(self._snapshot)
        if self._snapshot.started is not None:
            yield from _running(self._snapshot, self._snapshot.started)


def _written(snapshot: Snapshot) -> Iterator[Metric]:
    yield _gauge("owners_admitted", "Owners that may take part.", len(snapshot.admitted))
    consents = Counter(expert.consent for expert in snapshot.experts)
    experts = GaugeMetricFamily("atoll_experts", "Accepted experts by how consent stands.", labels=["consent"])
    for consent in (GIVEN, RESTRICTED, WITHDRAWN):
        experts.add_metric([consent], consents[consent])
    yield experts
    permitted = sum(release.usable for release in snapshot.releases)
    releases = GaugeMetricFamily(
        "atoll_releases", "Releases by whether every member's owner still permits some use of it.", labels=["permitted"]
    )
    releases.add_metric(["yes"], permitted)
    releases.add_metric(["no"], len(snapshot.releases) - permitted)
    yield releases
    units = GaugeMetricFamily("atoll_open_units", "Units of work asked for and not finished.", labels=["work"])
    for work, number in sorted(Counter(work.work for work in snapshot.work).items()):
        units.add_metric([work], number)
    yield units
    yield _gauge("ledger_head_sequence", "Events in the ledger.", snapshot.sequence)


def _running(snapshot: Snapshot, started: str) -> Iterator[Metric]:
    yield _gauge("nodes_alive", "Admitted owners whose node answered in the last minute.", snapshot.alive)
    yield _gauge("ready", "Whether nodes can connect and work is done.", float(not snapshot.unready))
    yield CounterMetricFamily(
        "atoll_engine_restarts", "Starts of the engine after it ended by itself.", value=snapshot.restarts
    )
    barred = sum(bool(owner.barred) for owner in snapshot.admitted)
    yield _gauge("nodes_barred", "Admitted owners whose node answers and is given no work.", barred)
    yield CounterMetricFamily("atoll_failures", "Failures since the server started.", value=snapshot.failed or 0)
    received = CounterMetricFamily("atoll_received_bytes", "From an owner since the server started.", labels=["owner"])
    sent = CounterMetricFamily("atoll_sent_bytes", "To an owner since the server started.", labels=["owner"])
    for owner in snapshot.owners:
        received.add_metric([owner.owner], owner.received or 0)
        sent.add_metric([owner.owner], owner.sent or 0)
    yield received
    yield sent
    seconds = (datetime.fromisoformat(snapshot.at) - datetime.fromisoformat(started)).total_seconds()
    yield _gauge("uptime_seconds", "Since the server started.", seconds)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"atoll_{name}", meaning, value=value)
