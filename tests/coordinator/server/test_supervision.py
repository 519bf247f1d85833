"""What the coordinator does about its engine: a corrupt database is set aside, and readiness is not liveness."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.coordinator.status.conftest import Asker

from atoll.coordinator.status.live import Live
from atoll.coordinator.status.snapshot import snapshot
from atoll.coordinator.status.web import create_status_app, serve
from atoll.federation.flower.superlink import DATABASE, set_aside_corrupt
from atoll.ledger import State


@pytest.mark.parametrize("damage", ["garbage", "a page", "nothing"])
def test_a_corrupt_database_is_set_aside(tmp_path: Path, damage: str) -> None:
    path = tmp_path / DATABASE
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE nodes (id INTEGER PRIMARY KEY, key TEXT)")
        connection.executemany("INSERT INTO nodes (key) VALUES (?)", [("k" * 500,)] * 200)
    connection.close()
    content = path.read_bytes()
    if damage == "garbage":
        path.write_bytes(b"\0garbage" * 1000)
    if damage == "a page":
        path.write_bytes(content[:8192] + b"\xff" * 4096 + content[12288:])
    aside = set_aside_corrupt(path)
    assert (aside is None) == (damage == "nothing")
    assert path.exists() == (damage == "nothing")
    assert aside is None or aside.exists()
    assert set_aside_corrupt(tmp_path / "none.db") is None


def test_ready_is_another_thing_than_alive(request: pytest.FixtureRequest) -> None:
    now = [datetime(2026, 6, 1, tzinfo=UTC)]
    live = Live(lambda: now[0])
    app = create_status_app(lambda: snapshot(State(), live, now[0]), "a token of the tests, long enough")
    server = serve(app, "127.0.0.1", 0)
    request.addfinalizer(server.stop)
    client = Asker(server.url)

    def answers() -> tuple[int, int]:
        return client("/health").status, client("/ready").status

    assert answers() == (200, 503), "it is starting"
    live.beat()
    assert answers() == (200, 200)
    now[0] += timedelta(minutes=2)
    assert answers() == (200, 503), "the loop stands still"
    live.beat()
    live.stopped("SuperLink ended")
    assert answers() == (200, 503)
    assert "SuperLink" not in client("/ready").text, "who may not look is not told why"
    assert live.view().restarts == 1
    live.beat()
    assert answers() == (200, 200)
