"""Plug-ins by name: what is there, what is built, and what is said when it is not to be had."""

import dataclasses
import os
import shutil
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from atoll import plugins
from atoll.errors import ConfigError, PluginError
from atoll.plugins import build, load, names

MODULE = """\
from dataclasses import dataclass

@dataclass(frozen=True)
class Sized:
    size: int = 3
    label: str = "plain"
"""


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A group that only this package has, as pip would have installed it."""
    (tmp_path / "sizes_of_things.py").write_text(MODULE)
    installed = tmp_path / "sizes-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: sizes\nVersion: 1.0\n")
    entries = "sized = sizes_of_things:Sized\nlost = sizes_of_things:Gone\nabsent = sizes_absent:Any\n"
    (installed / "entry_points.txt").write_text(f"[atoll.sizes]\n{entries}")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "atoll.sizes"


def test_names_are_sorted_and_need_no_import(group: str) -> None:
    assert names(group) == ("absent", "lost", "sized")
    assert names("atoll.no-such-group") == ()


@pytest.mark.parametrize("registered", ["atoll.experts", "atoll.integrators", "atoll.routers"])
def test_what_atoll_registers_loads_under_its_own_name(registered: str) -> None:
    assert names(registered)
    for name in names(registered):
        assert load(registered, name).name == name


def test_what_is_installed_meanwhile_is_found_and_what_is_removed_is_not(group: str, tmp_path: Path) -> None:
    assert names("atoll.shapes") == ()
    later = tmp_path / "shapes-1.0.dist-info"
    later.mkdir()
    (later / "METADATA").write_text("Metadata-Version: 2.1\nName: shapes\nVersion: 1.0\n")
    (later / "entry_points.txt").write_text("[atoll.shapes]\nround = sizes_of_things:Sized\n")
    os.utime(tmp_path, (1, 1))  # as a later installation would leave it, whatever the clock's grain
    assert names("atoll.shapes") == ("round",)
    shutil.rmtree(later)
    os.utime(tmp_path, (2, 2))
    assert names("atoll.shapes") == ()


def test_the_registrations_are_read_once(monkeypatch: pytest.MonkeyPatch, group: str) -> None:
    read: list[object] = []

    def reading() -> object:
        read.append(entry_points())
        return read[-1]

    monkeypatch.setattr(plugins, "entry_points", reading)
    for _ in range(3):
        load(group, "sized")
    assert len(read) == 1


def test_options_go_over_the_defaults(group: str) -> None:
    assert dataclasses.asdict(build(group, "sized", {})) == {"size": 3, "label": "plain"}
    assert dataclasses.asdict(build(group, "sized", {"size": 5})) == {"size": 5, "label": "plain"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sizd", r"'sizd' is not registered under atoll\.sizes: did you mean 'sized'\? there are absent, lost, sized"),
        ("quite-other", r"'quite-other' is not registered under atoll\.sizes: there are absent, lost, sized"),
    ],
)
def test_an_unknown_name_is_told_with_those_that_are_there(group: str, name: str, told: str) -> None:
    with pytest.raises(PluginError, match=told):
        load(group, name)


def test_a_group_without_anything_says_so() -> None:
    with pytest.raises(PluginError, match=r"not registered under atoll\.no-such-group: there are none"):
        load("atoll.no-such-group", "any")


@pytest.mark.parametrize(("name", "told"), [("lost", "Gone"), ("absent", "sizes_absent")])
def test_what_does_not_import_is_told_and_leaves_the_others(group: str, name: str, told: str) -> None:
    with pytest.raises(PluginError, match=f"'{name}' of atoll.sizes is registered but does not import: .*{told}"):
        load(group, name)
    assert build(group, "sized", {}).size == 3


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sise": 1}, r"has no option 'sise': did you mean 'size'\?"),
        ({"zzz": 1}, "has no option 'zzz': it has size, label"),
        ({"size": "many"}, "many"),
        ({"label": "${oc.env:HOME}"}, "an interpolation"),
        ({"label": ["${size}"]}, "an interpolation"),
    ],
)
def test_options_that_cannot_be_are_refused(group: str, options: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        build(group, "sized", options)
