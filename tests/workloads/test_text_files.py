import os
from pathlib import Path

import pytest

from atoll.errors import ConfigError, DataError
from atoll.workloads.text import TextConfig
from atoll.workloads.text.files import find


def names(*paths: Path | str) -> list[str]:
    return [source.name for source in find(TextConfig(paths=[str(path) for path in paths]))]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "clinic"
    (root / "b" / "deep").mkdir(parents=True)
    (root / ".hidden").mkdir()
    for name in ("z.txt", "b/a.txt", "b/deep/c.txt", ".secret", ".hidden/x.txt", "ä [1].txt"):
        (root / name).write_text("x")
    return root


def test_a_folder_is_read_with_its_subfolders_without_hidden_files(tree: Path) -> None:
    assert names(tree) == ["clinic/b/a.txt", "clinic/b/deep/c.txt", "clinic/z.txt", "clinic/ä [1].txt"]


def test_names_do_not_depend_on_how_the_folder_was_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = names(tree)
    monkeypatch.chdir(tree)
    assert names(".") == expected
    assert names("../clinic/") == expected


def test_globs_and_home(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tree))
    assert names(f"{tree}/b/**/*.txt") == ["a.txt", "deep/c.txt"]
    assert names("~/b/*.txt") == ["a.txt"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tree: Path) -> None:
    assert names(tree / "ä [1].txt") == ["ä [1].txt"]


def test_a_file_named_twice_is_read_once(tree: Path) -> None:
    (tree / "link.txt").symlink_to(tree / "z.txt")
    assert len(names(tree, tree / "z.txt", f"{tree}/*.txt")) == 4


def test_links_in_a_circle_and_into_nowhere_are_passed_over(tree: Path) -> None:
    (tree / "b" / "up").symlink_to(tree)
    (tree / "gone.txt").symlink_to(tree / "nothing")
    os.mkfifo(tree / "pipe")
    assert len(names(tree)) == 4


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.jsonl", "jsonl"), ("a.NDJSON", "jsonl"), ("a.json", "jsonl"), ("a.parquet", "parquet"), ("a.md", "text")],
)
def test_format_by_suffix_unless_it_is_named(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / name).write_text("x")
    assert find(TextConfig(paths=[str(tmp_path)]))[0].format == expected
    assert find(TextConfig(paths=[str(tmp_path)], format="text"))[0].format == "text"


def test_a_missing_path_says_what_is_there_instead(tree: Path) -> None:
    with pytest.raises(ConfigError, match=r"zz\.txt' does not exist: the folder '.*clinic' exists.*'z\.txt'"):
        find(TextConfig(paths=[str(tree / "zz.txt")]))
    with pytest.raises(ConfigError, match=r"the folder '.*' exists, 'clinics' in it does not; did you mean 'clinic'"):
        find(TextConfig(paths=[str(tree.parent / "clinics" / "b" / "a.txt")]))
    with pytest.raises(ConfigError, match=r"'.*z\.txt' is not a folder"):
        find(TextConfig(paths=[str(tree / "z.txt" / "a")]))


def test_a_glob_that_matches_nothing(tree: Path) -> None:
    with pytest.raises(ConfigError, match=r"glob '.*\*\.csv' matches nothing: the folder '.*clinic' exists"):
        find(TextConfig(paths=[f"{tree}/*.csv"]))
    with pytest.raises(ConfigError, match=r"matches only folders"):
        find(TextConfig(paths=[f"{tree}/?"]))
    with pytest.raises(ConfigError, match=r"matches nothing: .*'clinik' in it does not; did you mean 'clinic'"):
        find(TextConfig(paths=[f"{tree.parent}/clinik/*.txt"]))


def test_a_folder_without_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no readable document: there is no file in"):
        find(TextConfig(paths=[str(tmp_path)]))


def test_neither_file_nor_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="neither a file nor a folder"):
        find(TextConfig(paths=[str(tmp_path / "pipe")]))


def test_a_name_that_the_system_refuses(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        find(TextConfig(paths=[str(tmp_path / ("x" * 5000))]))
