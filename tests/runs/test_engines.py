"""The same federation on each engine that runs it on one machine: what comes out does not say which it was."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from atoll.coordinator.config import EngineConfig
from atoll.errors import ConfigError
from atoll.testing import toy_silos


def test_an_engine_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"engine\.kind is 'cloud'; it must be one of embedded, simulation"):
        EngineConfig(kind="cloud").check()


@pytest.mark.suite
def test_embedded_and_simulation_make_the_same_release(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'atoll[simulation]'")
    pytest.importorskip("peft")
    silos = [
        {"name": name, "domain": f"words of a {name}", "data": asdict(text)}
        for name, text in toy_silos(tmp_path / "data").items()
    ]
    config = {
        "silos": silos,
        "expert": {"kind": "lora", "rank": 4, "last_layers": 1},
        "training": {"steps": 3, "batch": 2, "warmup": 1, "evaluate_every": 3, "validation_windows": 2},
        "descriptor": {"documents": 16},
        "evaluation": {"windows": 2, "batch": 2},
    }
    (tmp_path / "federation.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    embedded = results(tmp_path, "engine.kind=embedded")
    # One process for all, so that each silo's node follows another's in it.
    simulated = results(tmp_path, "engine.kind=simulation", "engine.parallel=1")
    assert [silo["status"] for silo in simulated["silos"]] == ["ok"] * len(silos)
    for same in ("release", "losses", "routing"):
        assert simulated[same] == embedded[same]
    assert [t["what"] for t in simulated["transfers"]].count("expert package") == len(silos)


def results(folder: Path, *overrides: str) -> dict[str, Any]:
    """Of ``atoll run`` in a process of its own."""
    output = folder / overrides[0]
    done = subprocess.run(
        [sys.executable, "-m", "atoll.cli.app", "run", "federation.yaml", f"output={output}", *overrides],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "raylet" not in done.stdout + done.stderr
    found: dict[str, Any] = json.loads((output / "results.json").read_text())
    return found
