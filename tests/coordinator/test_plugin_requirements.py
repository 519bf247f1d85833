"""What a run needs of its plug-ins is known before anyone trains, in one sentence, whoever wrote them."""

from pathlib import Path
from typing import Any

import pytest
from tests.plugins.outside import install

from atoll.coordinator.config import RunConfig, SiloConfig
from atoll.coordinator.server.folder import ServerConfig
from atoll.coordinator.stream.config import RefitConfig, StreamConfig
from atoll.errors import ConfigError
from atoll.experts.training import ExpertConfig
from atoll.federation.units import Choice
from atoll.workloads.images import ImagesConfig
from atoll.workloads.text import TextConfig

SOURCE = """
from dataclasses import dataclass

import torch

from atoll.experts.lora import Lora
from atoll.strategies.integrate.flexolmo import FlexOlmo
from atoll.strategies.route.top_k import TopK
from atoll.strategies.route.uniform import Uniform


class Still(TopK):
    name = "still"

    def route(self, state, x_BSD, context):
        with torch.no_grad():
            return super().route(state, x_BSD, context)


class Root(TopK):
    name = "root"

    def row(self, site, descriptor, anchor, learned):
        return {**super().row(site, descriptor, anchor, learned), "scale": torch.tensor(0.01)}

    def route(self, state, x_BSD, context):
        scaled = {**state, "row": state["row"] * (1 + state["scale"].sqrt())[:, None]}
        return super().route(scaled, x_BSD, context)


class Ahead(Uniform):
    name = "ahead"
    causal = False


class Odd(Uniform):
    name = "odd"

    def row(self, site, descriptor, anchor, learned):
        return {"first": descriptor.unigram[0]}


class Merged(FlexOlmo):
    name = "merged"
    trainable = False


class Bought(Lora):
    name = "bought"
    trainable = False
"""
ROUTERS = {"still": "Still", "root": "Root", "ahead": "Ahead", "odd": "Odd"}


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {
        "atoll.routers": ROUTERS,
        "atoll.integrators": {"merged": "Merged"},
        "atoll.experts": {"bought": "Bought"},
    }
    monkeypatch.syspath_prepend(str(install(tmp_path / "site", "needing", "1.0", SOURCE, entries)))


def config(tmp_path: Path, *, stages: int = 0, refit: int = 0, data: Any = None, **given: Any) -> RunConfig:
    text = data or TextConfig(paths=[str(tmp_path)])
    silos = [SiloConfig(name=name, domain="any", data=text) for name in ("one", "two")]
    every = [["one"], ["two"]] if stages == 2 else [["one", "two"]] if stages else []
    stream = StreamConfig(stages=every, refit=RefitConfig(steps=refit))
    return RunConfig(silos=silos, stream=stream, **given)


def router(name: str, **options: Any) -> Choice:
    return Choice(name=name, options=options)


@pytest.mark.parametrize("name", ["top-k", "domain", "naive-bayes", "mobility"])
def test_built_in_routers_can_be_fitted(tmp_path: Path, name: str) -> None:
    config(tmp_path, stages=2, refit=50, router=router(name)).check()


def test_pictures_have_no_tokens(tmp_path: Path) -> None:
    pictures = ImagesConfig(paths=[str(tmp_path)])
    config(tmp_path, data=pictures, router=router("domain")).check()
    with pytest.raises(ConfigError, match="naive-bayes reads token ids"):
        config(tmp_path, data=pictures, router=router("naive-bayes")).check()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"refit": 50, "router": router("uniform")}, "uniform declares no rows"),
        ({"refit": 50, "router": router("domain", anchor="-inf")}, "domain .* not finite"),
        ({"refit": 50, "router": router("still")}, "no gradient reaches"),
        ({"refit": 50, "router": router("root")}, "root .* not finite"),
        ({"refit": 50, "integrator": router("soup")}, "soup declares"),
        ({"refit": 50, "integrator": router("merged")}, "merged declares"),
        ({"stages": 2, "integrator": router("merged")}, "merged declares"),
        ({"router": router("ahead")}, "ahead declares"),
        ({"training_router": router("ahead")}, "ahead declares"),
        ({"expert": ExpertConfig(kind="bought")}, "'bought', and nodes train no"),
        ({"expert": ExpertConfig(coordinated=True), "training_router": router("domain")}, "no row that training"),
        ({"expert": ExpertConfig(coordinated=True), "training_router": router("still")}, "no gradient reaches"),
        ({"stages": 1, "data": None}, ""),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, str) else "",
)
def test_a_run_says_so_before_anything_is_trained(tmp_path: Path, given: dict[str, Any], told: str) -> None:
    made = config(tmp_path, **{"stages": 1, **given})
    if not told:
        made.check()
        return
    with pytest.raises(ConfigError, match=told):
        made.check()


def test_a_router_of_another_package_that_needs_shares_is_told_by_whatever_it_raises(tmp_path: Path) -> None:
    made = config(tmp_path, router=router("odd"))
    made.check()
    object.__setattr__(made.descriptor, "counted", 0)
    with pytest.raises(ConfigError, match="odd makes no row of a descriptor with no token shares"):
        made.check()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"refit": RefitConfig(steps=5), "router": router("still")}, "no gradient reaches"),
        ({"refit": RefitConfig(steps=5), "integrator": router("soup")}, "soup declares"),
        ({"router": router("ahead")}, "ahead declares"),
    ],
    ids=["still", "soup", "ahead"],
)
def test_so_does_a_coordinator_as_it_comes_up(given: dict[str, Any], told: str) -> None:
    ServerConfig(hosts=["localhost"]).check_plugins()
    with pytest.raises(ConfigError, match=told):
        ServerConfig(hosts=["localhost"], **given).check_plugins()
