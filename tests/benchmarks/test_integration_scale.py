"""Study integration-scale: everything is measured, nothing is left lying about, and bytes are counted once."""

from pathlib import Path

import pytest
import torch
from torch import nn

pytest.importorskip("transformers")

from atoll.benchmarks.speed.integration_scale import IntegrationScale, Watch, tensor_bytes
from atoll.benchmarks.suites.study import Work
from atoll.errors import ConfigError
from atoll.federation.units import Choice
from atoll.plugins import build

WORK = ("pack", "assemble", "open", "integrate", "restrict", "mask", "permitted", "route", "answer_all", "answer_few")


def study(**settings: object) -> IntegrationScale:
    made: IntegrationScale = build("atoll.studies", "integration-scale", {"batch": 2, "length": 4, **settings})
    return made


def figures(folder: Path, made: IntegrationScale, router: str) -> dict[str, float]:
    work = Work(method=Choice(name=router), seed=0, folder=folder)
    return made.run(work).figures()


@pytest.mark.parametrize("kind", ["lora", "ffn"])
def test_every_piece_of_work_has_its_seconds(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATOLL_CACHE", str(tmp_path / "cache"))
    cell = tmp_path / "cell"
    (cell / "release-in-making" / "left over").mkdir(parents=True)  # of a cell that was killed
    found = figures(cell, study(kind=kind, experts=4, repeats=1), "top-k")
    assert {f"{what}_seconds" for what in WORK} <= set(found)
    assert all(found[f"{what}_seconds"] > 0 for what in WORK)
    assert 4 * found["package_bytes"] < found["release_bytes"] < 4 * found["package_bytes"] + 10_000
    assert found["mixture_bytes"] > 0
    assert list(cell.iterdir()) == []


def test_a_cell_that_cannot_be_run_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no router 'mobility': domain, "):
        figures(tmp_path, study(), "mobility")
    with pytest.raises(ConfigError, match="experts is 1; it is at least 2"):
        figures(tmp_path, study(experts=1), "top-k")


def test_a_watch_reports_medians_without_the_first_time() -> None:
    ticks = iter([0.0, 5.0, 10.0, 11.0, 20.0, 23.0])
    watch = Watch(lambda: next(ticks))
    done: list[int] = []
    watch.median("thrice", lambda: done.append(1), 3)
    assert (watch.found, len(done)) == ({"thrice": 3.0}, 4)
    ticks = iter([1.0, 8.0])
    with watch.over("once"):
        pass
    assert watch.found["once"] == 7.0


def test_shared_tensors_count_once() -> None:
    module = nn.Linear(4, 4, bias=False)
    module.register_buffer("same", module.weight.detach()[1:])
    assert tensor_bytes(module) == 64
    module.register_buffer("other", torch.zeros(2))
    assert tensor_bytes(module) == 72
