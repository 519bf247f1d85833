"""A release says which packages' plug-ins it was made with, and what of them is another where it is opened."""

import importlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.plugins.outside import install

from atoll.errors import PluginError
from atoll.releases.folder import read_description
from atoll.releases.opening import open_release
from atoll.releases.release import Release

SOURCE = """
from dataclasses import dataclass

import torch

from atoll.mixture import Router, Routing


@dataclass(frozen=True)
class Leaning(Router):
    name = "leaning"

    def row(self, site, descriptor, anchor, learned):
        return {{"nothing": torch.zeros(0)}}

    def route(self, state, x_BSD, context):
        weights = context.allowed_N.float() * torch.arange(1, len(context.allowed_N) + 1) ** {power}
        tokens = x_BSD.shape[0] * x_BSD.shape[1]
        weights = weights / weights.sum()
        return Routing(torch.arange(len(weights)).expand(tokens, -1), weights.expand(tokens, -1))
"""
Put = Callable[..., None]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Installs the router's package in place of what was installed before."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))

    def installed(package: str = "leaning_router", version: str = "1.0", power: int = 1) -> None:
        shutil.rmtree(site, ignore_errors=True)
        sys.modules.pop(package, None)
        install(site, package, version, SOURCE.format(power=power), {"atoll.routers": {"leaning": "Leaning"}})
        shutil.rmtree(site / "__pycache__", ignore_errors=True)
        importlib.invalidate_caches()

    return installed


def digest(folder: Path) -> str:
    return read_description(folder)[0].digest


def test_a_release_records_packages_versions_and_code(make: Any, put: Put, tmp_path: Path) -> None:
    put()
    opened = make(router="leaning")
    found = {plugin.group: plugin for plugin in opened.release.plugins}
    assert set(found) == {"atoll.experts", "atoll.integrators", "atoll.routers", "atoll.workloads"}
    router = found.pop("atoll.routers")
    assert (router.name, router.package, router.version) == ("leaning", "leaning_router", "1.0")
    assert router.code.startswith("sha256:")
    assert {plugin.package for plugin in found.values()} == {"atoll"}
    assert opened.differences == ()


@pytest.mark.parametrize(
    ("here", "told"),
    [({"version": "2.0"}, "now leaning_router 2.0"), ({"power": 2}, "with other code")],
    ids=["other version", "other code"],
)
def test_another_plug_in_is_told_and_answers_for_nobody(
    make: Any, put: Put, tmp_path: Path, caplog: pytest.LogCaptureFixture, here: dict[str, Any], told: str
) -> None:
    put()
    before = make(router="leaning").release.digest
    put(**here)
    opened = open_release(tmp_path / "release")
    assert told in opened.differences[0]
    assert told in caplog.text
    with pytest.raises(PluginError, match=f"{told}.*--other-plugins"):
        open_release(tmp_path / "release", other_plugins=False)
    # What is released with it is another release.
    shutil.rmtree(tmp_path / "release")
    shutil.rmtree(tmp_path / "anchor")
    for package in tmp_path.glob("*.atoll"):
        package.unlink()
    again = make(router="leaning").release
    assert again.digest == digest(tmp_path / "release") != before
    assert replace(again, plugins=opened.release.plugins).digest == before


def test_a_plug_in_of_another_package_is_refused(make: Any, put: Put, tmp_path: Path) -> None:
    put()
    make(router="leaning")
    put(package="other_router")
    with pytest.raises(PluginError, match=r"from leaning_router 1\.0, and here that name is other_router 1\.0's"):
        open_release(tmp_path / "release")


def test_a_plug_in_that_is_not_here_says_what_to_install(make: Any, put: Put, tmp_path: Path) -> None:
    put()
    make(router="leaning")
    shutil.rmtree(tmp_path / "site")
    (tmp_path / "site").mkdir()
    with pytest.raises(PluginError, match=r"install leaning_router 1\.0"):
        open_release(tmp_path / "release")


def test_releases_of_built_ins_keep_their_digest_over_formats_and_versions(make: Any, tmp_path: Path) -> None:
    opened = make()
    described = json.loads((tmp_path / "release" / "release.json").read_text())
    for plugin in described["plugins"]:
        plugin["version"] = "0.0.1"
    older = Release.from_json(json.dumps(described))
    del described["plugins"]
    oldest = Release.from_json(json.dumps(described))
    assert opened.release.digest == older.digest == oldest.digest
