from prometheus_client.parser import text_string_to_metric_families

from atoll.coordinator.status.metrics import metrics_text
from atoll.coordinator.status.snapshot import Snapshot

from .conftest import Asker

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


WRITTEN: Samples = {
    ("atoll_owners_admitted", ()): 3,
    ("atoll_experts", (("consent", "given"),)): 1,
    ("atoll_experts", (("consent", "restricted"),)): 1,
    ("atoll_experts", (("consent", "withdrawn"),)): 1,
    ("atoll_releases", (("permitted", "yes"),)): 1,
    ("atoll_releases", (("permitted", "no"),)): 1,
    ("atoll_open_units", (("work", "evaluate"),)): 1,
    ("atoll_open_units", (("work", "train"),)): 1,
    ("atoll_ledger_head_sequence", ()): 23,
}
RUNNING: Samples = {
    ("atoll_nodes_alive", ()): 1,
    ("atoll_nodes_barred", ()): 0,
    ("atoll_ready", ()): 0,
    ("atoll_engine_restarts_total", ()): 0,
    ("atoll_failures_total", ()): 1,
    ("atoll_uptime_seconds", ()): 3600,
    **{("atoll_received_bytes_total", (("owner", owner),)): 0 for owner in ("bank", "library", "mill")},
    **{("atoll_sent_bytes_total", (("owner", owner),)): 0 for owner in ("bank", "library", "mill")},
    ("atoll_received_bytes_total", (("owner", "clinic"),)): 1000,
    ("atoll_sent_bytes_total", (("owner", "clinic"),)): 2000,
}


def test_all_that_is_known(found: Snapshot) -> None:
    assert samples(metrics_text(found).decode()) == WRITTEN | RUNNING


def test_what_only_a_server_knows_is_left_out(written: Snapshot) -> None:
    assert samples(metrics_text(written).decode()) == WRITTEN


def test_they_are_served_as_prometheus_asks_for_them(friend: Asker) -> None:
    answer = friend("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert samples(answer.text)["atoll_nodes_alive", ()] == 1
