import dataclasses
import json
import re
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from atoll.demo import DemoSilo, packages, silos, write_silos
from atoll.demo.documents import Document
from atoll.demo.sources import SOURCES
from atoll.errors import DataError

LAW = next(each for each in SOURCES if each.name == "law-firm")


def require_packages() -> None:
    for source in SOURCES:
        if source.package != "Python":
            try:
                version(source.package)
            except PackageNotFoundError:
                pytest.skip(f"{source.package} is not installed (extra demo)")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DemoSilo]:
    require_packages()
    return {silo.name: silo for silo in write_silos(tmp_path_factory.mktemp("silos"))}


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[^\W\d_]+", text.lower())
    return {tuple(words[i : i + 8]) for i in range(len(words) - 7)}


def texts(silo: DemoSilo) -> list[str]:
    """As the silo's format says, with nobody else's reader."""
    (pattern,) = silo.paths
    files = sorted(Path("/").glob(pattern.lstrip("/")))
    if silo.format == "jsonl":
        return [json.loads(line)[silo.field] for file in files for line in file.read_text("utf-8").splitlines()]
    if silo.format == "parquet":
        import pyarrow.parquet as pq

        return [str(text) for file in files for text in pq.read_table(file)[silo.field].to_pylist()]
    return [file.read_bytes().decode("utf-8") for file in files]


def test_four_silos_of_at_least_a_megabyte_and_very_unequal(written: dict[str, DemoSilo]) -> None:
    assert list(written) == ["hospital", "law-firm", "library", "software-house"]
    sizes = [silo.characters for silo in written.values()]
    assert min(sizes) >= 1_000_000
    assert max(sizes) >= 4 * min(sizes)
    assert {silo.format for silo in written.values()} == {"text", "jsonl", "parquet"}


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("hospital", "Excludes1: "),
        ("law-firm", "LIMITATION OF LIABILITY"),
        ("library", "And the LORD spake unto Moses, saying,"),
        ("software-house", "import sys\n"),
    ],
)
def test_the_text_reads_back_as_counted_and_is_of_its_domain(
    written: dict[str, DemoSilo], name: str, phrase: str
) -> None:
    found = texts(written[name])
    assert len(found) == written[name].documents
    assert sum(map(len, found)) == written[name].characters
    assert all(text.strip() for text in found)
    assert len(set(found)) == len(found)
    assert any(phrase in text for text in found)


@pytest.mark.parametrize("name", ["hospital", "law-firm", "library", "software-house"])
def test_no_text_is_mostly_made_of_the_others(written: dict[str, DemoSilo], name: str) -> None:
    """Seen from each side: also a document that was kept before its near copies came."""
    runs = [shingles(text) for text in texts(written[name])]
    count = Counter(run for each in runs for run in each)
    shared = [sum(count[run] > 1 for run in each) / len(each) for each in runs if len(each) > 50]
    assert sum(shared) / len(shared) < 0.15
    assert max(shared) < 0.5


def test_the_library_is_running_text(written: dict[str, DemoSilo]) -> None:
    assert not any(set(text) & set("[]0123456789") for text in texts(written["library"]))


def test_licences_come_without_their_front_matter(written: dict[str, DemoSilo]) -> None:
    assert not any(
        re.search(r"^(short_name|is_generic|spdx_license_key): ", text, re.M) for text in texts(written["law-firm"])
    )


@pytest.mark.slow
def test_a_second_write_elsewhere_gives_the_same_digests(written: dict[str, DemoSilo], tmp_path: Path) -> None:
    assert {silo.name: silo.digest for silo in write_silos(tmp_path)} == {
        name: silo.digest for name, silo in written.items()
    }


def test_the_workload_configuration_names_the_data(written: dict[str, DemoSilo]) -> None:
    assert set(written["law-firm"].text_config()) == {"paths", "format", "document"}
    assert written["hospital"].text_config()["field"] == "text"
    assert written["hospital"].text_config()["paths"] == [str(written["hospital"].folder / "data" / "*.jsonl")]


def only_a_small_silo(monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> list[Document]:
        return [Document(f"{n}.txt", " ".join(f"word{chr(97 + n)}{chr(97 + i)}" for i in range(20))) for n in range(4)]

    monkeypatch.setattr(silos, "SOURCES", (dataclasses.replace(LAW, read=read, characters=1000),))


def test_what_is_whole_is_left_alone_and_what_is_damaged_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_a_small_silo(monkeypatch)
    lines: list[str] = []
    (first,) = write_silos(tmp_path, progress=lines.append)
    (again,) = write_silos(tmp_path, progress=lines.append)
    assert (first, len(lines)) == (again, 1)
    (first.folder / "data" / "0.txt").write_text("something else")
    (mended,) = write_silos(tmp_path, progress=lines.append)
    assert (mended, len(lines)) == (first, 2)
    (smaller,) = write_silos(tmp_path, scale=0.3, progress=lines.append)
    assert len(lines) == 3
    assert 0 < smaller.characters < first.characters


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path, documents: object) -> None:
        (folder / "half.txt").write_text("")
        raise KeyboardInterrupt

    only_a_small_silo(monkeypatch)
    with monkeypatch.context() as patch:
        half = dataclasses.replace(LAW, write=interrupted, read=lambda: [Document("0.txt", "some words")])
        patch.setattr(silos, "SOURCES", (half,))
        with pytest.raises(KeyboardInterrupt):
            write_silos(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert write_silos(tmp_path)[0].documents == 4


def test_a_folder_with_something_else_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_a_small_silo(monkeypatch)
    (tmp_path / "law-firm").mkdir()
    (tmp_path / "law-firm" / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="give another folder"):
        write_silos(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == [
        "law-firm",
        "law-firm/thesis.txt",
    ]


@pytest.mark.parametrize("scale", [0.0, -1.0, 1.5, float("nan")])
def test_an_impossible_scale_is_refused(tmp_path: Path, scale: float) -> None:
    with pytest.raises(DataError, match="scale"):
        write_silos(tmp_path, scale=scale)


def test_a_missing_package_is_answered_with_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(packages, "distribution", missing)
    with pytest.raises(DataError, match=r"pip install 'atoll\[demo\]'"):
        write_silos(tmp_path)
    assert list(tmp_path.iterdir()) == []
