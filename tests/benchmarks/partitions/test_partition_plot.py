"""Pictures of partitions, and the command that draws them."""

import sys
from pathlib import Path

import numpy as np
import pytest

from atoll.benchmarks.partitions import plot
from atoll.benchmarks.partitions.drifting import Drifting
from atoll.benchmarks.partitions.figures import class_counts, how_they_look, who_holds_what
from atoll.benchmarks.partitions.look import Look
from atoll.benchmarks.partitions.natural import Natural
from atoll.benchmarks.partitions.partition import Pool
from atoll.benchmarks.partitions.pictures import pooled
from atoll.benchmarks.partitions.read import read_partition
from atoll.errors import ConfigError, PluginError

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


def test_counts_are_of_the_parts() -> None:
    pool = Pool.of(np.arange(60) % 3)
    parts = Drifting(silos=1, stages=2, minimum=1).split(pool, 0)
    assert class_counts(parts, pool).sum(0).tolist() == [20, 20, 20]


def test_a_drift_has_a_panel_for_every_silo_and_a_row_for_every_look(tmp_path: Path) -> None:
    found = pooled(["digits"], samples=300, side=8, seed=0)
    parts = Drifting(last=Look(rotation=90)).split(found.pool, 0)
    classes = who_holds_what(parts, found.pool, found.classes, tmp_path / "classes.svg").read_text()
    assert classes.count("stage</text>") == 2
    assert ">silo-2</text>" in classes
    looks = how_they_look(parts, found.pool, found.images, tmp_path / "looks.svg").read_text()
    assert "silo-1, stage 2" in looks
    assert looks.count("turned 45°") == 2


def test_several_data_sets_keep_their_classes_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    from atoll.benchmarks.datasets import digits, images

    monkeypatch.setattr(images, "READERS", {"digits": digits.read, "more": digits.read})
    found = pooled(["digits", "more"], samples=100, side=8, seed=0)
    assert len(found.classes) == 20
    assert found.classes[0] == "digits 0"
    assert found.pool.labels[:100].max() < 10 <= found.pool.labels[100:].min()
    assert found.pool.origins.tolist() == [0] * 100 + [1] * 100
    with pytest.raises(ConfigError, match="each once"):
        pooled(["digits", "digits"], samples=0, side=8, seed=0)
    with pytest.raises(ConfigError, match="has 1797 samples, not 5000"):
        pooled(["digits"], samples=5000, side=8, seed=0)


def test_the_command_writes_two_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["plot", "digits", "--samples", "200", "--partition", "dirichlet {silos: 3}", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    plot.main()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "digits-dirichlet-silos-3-0-classes.png",
        "digits-dirichlet-silos-3-0-looks.png",
    ]
    assert capsys.readouterr().out.count("samples, by class") == 3
    monkeypatch.setattr(sys, "argv", [*command, "--partition", "dirichlet {silo: 3}"])
    with pytest.raises(SystemExit) as ended:
        plot.main()
    assert ended.value.code == ConfigError.exit_code
    assert "did you mean 'silos'?" in capsys.readouterr().err


def test_a_partition_is_read_from_a_line() -> None:
    assert read_partition("natural") == Natural()
    assert read_partition("drifting {silos: 3, last: {rotation: 90}}") == Drifting(silos=3, last=Look(rotation=90))
    with pytest.raises(PluginError, match="did you mean 'natural'"):
        read_partition("naturl")
    with pytest.raises(ConfigError, match="options are no YAML"):
        read_partition("natural {")
    with pytest.raises(ConfigError, match="after the name come options"):
        read_partition("dirichlet 0.1")
