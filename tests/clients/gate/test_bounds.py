"""What a coordinator asks, however much, does not fill a node's disk: units, alarms, starts and logs have bounds."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.clients.conftest import train_unit
from tests.clients.measuring.conftest import Silo

from atoll.clients.gate import alarms as alarms_module
from atoll.clients.gate import instances as instances_module
from atoll.clients.gate import works as works_module
from atoll.clients.gate.alarms import Alarms
from atoll.clients.gate.failure_codes import RequestError
from atoll.clients.gate.instances import Instances
from atoll.clients.gate.works import Works
from atoll.experts.signing import OwnerKey
from atoll.federation.logs import shorten_log
from atoll.federation.talk import DONE, QUEUED, REFUSED, Work, WorkReply

KEY = OwnerKey.generate()


def works(folder: Path, silo: Silo) -> Works:
    return Works(folder, "clinic", silo.policy, KEY)


def asked(silo: Silo, seed: int) -> Work:
    unit = replace(train_unit(silo.node), seed=seed)
    return Work(work="train", unit=unit.address, what=unit.to_json(), call="c")


@pytest.fixture
def silo(tmp_path: Path, anchor_folder: Path) -> Silo:
    return Silo(tmp_path / "clinic", anchor_folder)


def test_only_so_many_units_wait(tmp_path: Path, silo: Silo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(works_module, "_WAITING", 3)
    agent = works(tmp_path / "node", silo)
    units = [asked(silo, seed) for seed in range(4)]
    for unit in units[:3]:
        assert agent.ask(unit).state == QUEUED
    with pytest.raises(RequestError, match="3 units of work wait already"):
        agent.ask(units[3])
    assert agent.ask(units[0]).state == QUEUED, "one that waits is asked after as before"
    assert len(list((tmp_path / "node" / "works").iterdir())) == 3
    agent._taken[units[1].unit].reply = WorkReply(state=REFUSED)
    assert agent.ask(units[3]).state == QUEUED


def test_only_so_many_ended_units_are_kept_and_no_package_is_lost(
    tmp_path: Path, silo: Silo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(works_module, "_KEPT", 2)
    agent = works(tmp_path / "node", silo)
    units = [asked(silo, seed) for seed in range(6)]
    for number, unit in enumerate(units):
        agent.ask(unit)
        state = WorkReply(state=DONE, blobs={"sha256:x": 1}) if number == 0 else WorkReply(state=REFUSED, note="no")
        agent._taken[unit.unit].reply = state
    agent.ask(units[5])
    assert set(agent._taken) == {units[0].unit, units[4].unit, units[5].unit}
    assert {path.name for path in (tmp_path / "node" / "works").iterdir()} == set(agent._taken)
    assert agent.may_fetch("sha256:x")


def test_alarms_that_nobody_looks_at_stop_somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms_module, "_MOST", 3)
    alarms = Alarms(tmp_path)
    assert [alarms.ring(f"alarm {number}") for number in range(6)] == [True] * 4 + [False] * 2
    assert len(alarms.entries()) == 4
    assert "further ones are not written" in alarms.entries()[-1]
    alarms.acknowledge()
    assert alarms.ring("alarm 9")


def test_earlier_starts_are_known_up_to_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances_module, "_KEPT", 3)
    starts = []
    for _ in range(6):
        made = Instances(tmp_path, Alarms(tmp_path))
        starts.append(made.current)
    assert len((tmp_path / "instances.log").read_text("ascii").split()) == 4
    last = Instances(tmp_path, Alarms(tmp_path))
    assert not last.hear(starts[4])
    assert last.hear(starts[0]), "so old that it could be anybody's"


def test_a_log_is_moved_aside_while_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    with log.open("ab", buffering=0) as handle:
        handle.write(b"x" * 90)
        shorten_log(log, 100)
        assert log.stat().st_size == 90
        handle.write(b"y" * 20)
        shorten_log(log, 100)
        assert (log.stat().st_size, (tmp_path / "worker.log.1").stat().st_size) == (0, 110)
        handle.write(b"next")
    assert log.read_bytes() == b"next"
    shorten_log(tmp_path / "none")
