"""A package outside the repository adds a router by entry point, and a configuration names it."""

import subprocess
import sys
from pathlib import Path

import pytest

from atoll.config import read_config
from atoll.coordinator.config import RunConfig
from atoll.errors import ConfigError, PluginError
from atoll.plugins import build, load, names

PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "newcomers"
version = "0.3"

[project.entry-points."atoll.routers"]
newest = "newcomers:Newest"
stale = "newcomers.gone:Stale"

[tool.hatch.build.targets.wheel]
packages = ["newcomers"]
"""
ROUTER = '''
"""All weight to the last allowed slot."""

from dataclasses import dataclass

import torch

from atoll.mixture import Router, Routing


@dataclass(frozen=True)
class Newest(Router):
    name = "newest"
    share: float = 1.0

    def row(self, site, descriptor, anchor, learned):
        return {"nothing": torch.zeros(0)}

    def route(self, state, x_BSD, context):
        weights = torch.zeros(len(context.allowed_N))
        weights[0] = 1 - self.share
        weights[int(context.allowed_N.nonzero().max())] += self.share
        tokens = x_BSD.shape[0] * x_BSD.shape[1]
        return Routing(torch.arange(len(weights)).expand(tokens, -1), weights.expand(tokens, -1))
'''
CONFIG = """\
title: With a newcomer
silos:
  - {name: one, domain: any, data: {paths: [one]}}
router: {name: newest, options: {share: 0.75}}
"""
USE = """\
import sys
from pathlib import Path

import torch

from atoll.config import read_config
from atoll.coordinator.config import RunConfig
from atoll.plugins import build, names
from atoll.testing import check_router, toy_anchor, toy_experts, toy_frame

config = read_config(RunConfig, Path(sys.argv[1]), [])
config.check()
router = build("atoll.routers", config.router.name, config.router.options)
assert type(router).__module__ == "newcomers" and router.share == 0.75, router
check_router(router)
anchor = toy_anchor(Path(sys.argv[2]))
experts = toy_experts(anchor, ["ann", "zoe"])
integrator = build("atoll.integrators", config.integrator.name, {})
mixture = integrator.integrate(anchor.model(), toy_frame(anchor, experts[0].card.sites), experts, router)
with torch.no_grad(), mixture.use() as call:
    mixture(input_ids=torch.arange(8).view(1, 8))
print(dict(zip(mixture.slots, call.shares())), "stale" in names("atoll.routers"))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built from source and installed by pip into a folder of its own."""
    source, target = tmp_path_factory.mktemp("newcomers"), tmp_path_factory.mktemp("site")
    (source / "newcomers").mkdir()
    (source / "newcomers" / "__init__.py").write_text(ROUTER)
    (source / "pyproject.toml").write_text(PROJECT)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, *offline, "--target", str(target), str(source)], check=True)
    return target


def test_a_configuration_names_a_router_of_another_package(site: Path, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(CONFIG)
    command = [sys.executable, "-c", USE, str(tmp_path / "run.yaml"), str(tmp_path / "anchor")]
    paths = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=paths)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("{'anchor': 0.25, 'ann': 0.0, 'zoe': 0.75} True")


def test_a_plug_in_that_does_not_import_says_so_and_spoils_no_other(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(site))
    assert {"newest", "stale", "top-k"} <= set(names("atoll.routers"))
    with pytest.raises(PluginError, match=r"'stale' of atoll\.routers is registered but does not import.*newcomers"):
        load("atoll.routers", "stale")
    assert build("atoll.routers", "uniform", {}).name == "uniform"


def test_an_absent_plug_in_is_an_error_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.replace("newest", "top_k").replace("options: {share: 0.75}", ""))
    with pytest.raises(
        PluginError, match=r"did you mean 'top-k'\? there are domain, mobility, naive-bayes, top-k, uniform"
    ):
        read_config(RunConfig, path, []).check()


@pytest.mark.parametrize(
    ("options", "told"), [({"kk": 1}, "did you mean 'k'"), ({"k": "many"}, "many"), ({"temprature": 1}, "no option")]
)
def test_options_are_checked(options: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        build("atoll.routers", "top-k", options)
