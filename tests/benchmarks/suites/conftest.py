"""A study from outside the repository, registered as a package on the path, and a suite of it."""

import os
from pathlib import Path

import pytest

STUDY = '''
"""Study ``coins``: how often a coin that is not fair shows heads."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from atoll.benchmarks.suites.outcome import Curve, Outcome
from atoll.benchmarks.suites.study import Study
from atoll.continual import StreamMatrix
from atoll.errors import DataError


@dataclass(frozen=True)
class Coins(Study):
    name = "coins"
    tosses: int = 100
    chance: float = 0.5

    def methods(self):
        return {"honest": "tosses", "lucky": "tosses, and adds a tenth", "broken": "fails", "slow": "waits"}

    def run(self, work):
        with open(work.folder / "ran", "a") as handle:
            handle.write("x")
        if work.method.name == "broken" and not os.environ.get("COINS_MENDED"):
            raise DataError("the coin rolled under the table")
        if work.method.name == "slow":
            import time
            work.tell(1, 2, "waiting")
            time.sleep(600)
        shown = np.random.default_rng(work.seed).random(self.tosses) < self.chance
        more = work.method.options.get("more", 0.1) if work.method.name == "lucky" else 0.0
        share = float(shown.mean()) + more
        work.tell(2, 2, "tossed")
        values = np.array([[0.1, 0.2], [share, 0.2], [share - 0.05, share]])
        matrix = StreamMatrix(metric="heads", higher_is_better=True, stages=(("a",), ("b",)), values=values)
        curve = Curve(along="tosses", x=[1.0, 50.0, 100.0], y=[0.0, share / 2, share])
        costs = {"seconds": 1.0 + more, "bytes_moved": 10.0 * self.tosses}
        return Outcome(metrics={"share": share}, streams={"heads": matrix}, curves={"heads": curve}, costs=costs)
'''
SUITE = """\
title: Coins
about: Whether luck helps.
study: coins
settings: {tosses: 200}
vary: {chance: [0.3, 0.6]}
methods: [honest, {name: lucky, label: "lucky, much", options: {more: 0.2}}]
seeds: [0, 1, 2]
metric: heads/average_final
claims: [{better: "lucky, much", than: honest}]
quick: {settings: {tosses: 10}, vary: {}, seeds: [5]}
published: {source: "Bernoulli 1713", metric: heads, figures: {"0.3": {honest: 30, "lucky, much": 50}}}
"""


@pytest.fixture
def coins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The suite's file; its study is found here and in new processes."""
    site = tmp_path / "site"
    info = site / "coins_study-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "coins_study.py").write_text(STUDY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: coins-study\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[atoll.studies]\ncoins = coins_study:Coins\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]))
    path = tmp_path / "coins.yaml"
    path.write_text(SUITE)
    return path
