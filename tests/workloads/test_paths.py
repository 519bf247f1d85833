"""Paths as people give them: names that look like patterns, homes and references are only names where they exist."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atoll.clients.gate.setup import _data
from atoll.config import read_config, to_yaml
from atoll.errors import ConfigError
from atoll.workloads.files import find_files
from atoll.workloads.paths import absolute_path, split_pattern, user_path
from atoll.workloads.text.config import TextConfig
from atoll.workloads.text.files import find

SIGNS = "?#%&=+[]@:;$~'\"\\* .\n\té‘漢😀{}!^aA0-"
NAMES = st.text(st.sampled_from(SIGNS), min_size=1, max_size=10).filter(lambda name: name not in (".", ".."))
ODD = ["[2024]", "*", "a?b", "~", "~nobody-of-this-name", "${x}", "\\${x}", "a b", "a\nb", "[!x]", "**", "[", "]", "a."]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(names=st.lists(NAMES, min_size=1, max_size=3))
def test_a_file_in_any_folder_is_found_and_no_other(names: list[str], tmp_path: Path) -> None:
    check("/".join(names), tmp_path)


@pytest.mark.parametrize("name", ODD)
def test_a_file_in_the_odd_folders_that_were_met(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)
    check(f"{name}/in/{name}", tmp_path)


def check(name: str, root: Path) -> None:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "one.txt").write_text("one", encoding="utf-8")
    before = Path.cwd()
    os.chdir(root)
    try:
        relative = os.path.join(".", name)
        for given_path in (str(folder), relative, absolute_path(relative)):
            for entry in (given_path, f"{given_path}/one.txt", f"{given_path}/*.txt", f"{given_path}/o[n]?.txt"):
                assert folder / "one.txt" in [file.resolve() for file in find_files([entry], "text")], entry
            for entry in (f"{given_path}/*.txt", f"{given_path}/one.txt"):
                assert [source.path.resolve() for source in find(TextConfig(paths=[entry]))] == [folder / "one.txt"]
            assert (root / split_pattern(f"{given_path}/*.txt")[0]).resolve() == folder
    finally:
        os.chdir(before)


@given(paths=st.lists(st.text(st.sampled_from(SIGNS + "/"), min_size=1).filter(lambda text: text != "???")))
def test_paths_come_back_from_a_configuration(paths: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "paths.yaml"
    file.write_text(to_yaml(TextConfig(paths=paths)), encoding="utf-8")
    assert read_config(TextConfig, file, []).paths == paths


@given(name=NAMES)
def test_paths_of_a_node_are_text_and_no_references(name: str) -> None:
    data = _data("text", [f"/somewhere/{name}"], [])
    assert isinstance(data, TextConfig)
    assert data.paths == [str(Path(f"/somewhere/{name}"))]


def test_home_is_written_out_where_it_leads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/x") == tmp_path / "x"
    assert user_path("./~/x") == Path("~/x")
    assert user_path("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")
    assert absolute_path("") == ""


def test_a_pattern_stays_one_where_no_such_folder_is(tmp_path: Path) -> None:
    for year in ("2023", "2024"):
        (tmp_path / year).mkdir()
        (tmp_path / year / "a.txt").touch()
    assert len(find_files([f"{tmp_path}/202[34]/*.txt"], "text")) == 2
    with pytest.raises(ConfigError, match="matches no file"):
        find_files([f"{tmp_path}/202[56]/*.txt"], "text")
