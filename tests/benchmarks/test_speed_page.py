"""The command of the speed page prints its tables. No time is looked at."""

import sys
from dataclasses import replace

import pytest
import torch

pytest.importorskip("peft")
pytest.importorskip("transformers")

from atoll.benchmarks.speed import __main__ as command
from atoll.benchmarks.speed import page
from atoll.benchmarks.speed.case import Case
from atoll.benchmarks.speed.peak import Memory
from atoll.benchmarks.speed.router_time import routing_step

TINY = Case(layers=1, width=16, hidden=16, heads=2, vocabulary=32, batch=2, length=4, experts=2)


@pytest.mark.parametrize("router", ["uniform", "top-k", "domain", "naive-bayes"])
def test_what_is_timed_routes_every_token(router: str) -> None:
    weights = routing_step(router, 5, tokens=128, width=8, vocabulary=16)()
    assert len(weights) == 128
    torch.testing.assert_close(weights.sum(1), torch.ones(128))


def test_the_command_prints_tables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(
        page, "Case", lambda **told: replace(TINY, kind=told["kind"], action=told.get("action", "inference"))
    )
    monkeypatch.setattr(page, "memory_of", lambda case, method, threads: Memory(3, 2**20, 2**21))
    monkeypatch.setattr(page, "_SIZES", ((2, 2),))
    monkeypatch.setattr(page, "_COUNTS", (1, 3))
    monkeypatch.setattr(
        sys, "argv", ["speed", "--parts", "routers", "models", "memory", "--kinds", "ffn", "--repeats", "2"]
    )
    command.main()
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows if "2, 2" in line}) == 1
    assert "| router | 1 | 3 |" in printed
    assert "atoll / transformers-grouped_mm" in printed
    assert "| transformers-eager | 1, 2 | 1, 2 | 1, 2 |" in printed
    assert "ffn, router" in printed
