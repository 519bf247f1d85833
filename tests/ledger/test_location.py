"""A ledger is where its path says, whatever characters are in it, and has one coordinator however it is spelt."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atoll.coordinator.server.sole import sole_coordinator
from atoll.errors import LedgerError
from atoll.ledger import Ledger
from atoll.ledger.location import absolute_ledger, ledger_file, ledger_url

SIGNS = "?#%&=+[]@:;$~'\"\\* ./\n\té‘漢{}!"
NAMES = st.text(st.sampled_from(SIGNS + "aA04 "), min_size=1, max_size=12).map(lambda name: name.replace("/", "_"))
NAMES = NAMES.filter(lambda name: name not in (".", ".."))
ODD = [
    "a?b",
    "a%41b",
    "aAb",
    "a#b",
    "[a]",
    "a b",
    "${a}",
    "~",
    "a@b:c",
    "a.",
    "a\nb",
    "a;b=c&d",
    "sqlite:",
    "a?uri=true",
]


@given(name=NAMES)
def test_a_path_comes_back_from_its_url(name: str) -> None:
    path = Path("/somewhere", name, "ledger.db")
    assert ledger_file(ledger_url(path)) == path
    assert ledger_file(ledger_url(str(path))) == path
    assert ledger_file(ledger_url(absolute_ledger(str(path)))) == path


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(names=st.lists(NAMES, min_size=2, max_size=3, unique=True))
def test_folders_neither_lose_nor_share_a_ledger(names: list[str], tmp_path: Path) -> None:
    check(names, tmp_path)


def test_folders_of_the_odd_names_that_were_met(tmp_path: Path) -> None:
    check(ODD, tmp_path)


def check(names: list[str], root: Path) -> None:
    for name in names:
        (root / name).mkdir(exist_ok=True)
        Ledger.open(root / name / "ledger.db").close()
        assert (root / name / "ledger.db").is_file()
    assert {path.name for path in root.iterdir()} >= set(names)
    assert not [path for path in root.iterdir() if path.is_file()]


def spellings(file: Path) -> list[str | Path]:
    link = file.parent.parent / "link"
    link.symlink_to(file.parent)
    plain = ["sqlite:///" + str(file), f"sqlite+pysqlite:///{file}", f"sqlite:///{file}?timeout=5"]
    return [str(file), link / file.name, file.parent / "x" / ".." / file.name, *plain]


def test_a_ledger_has_one_coordinator_however_it_is_spelt(tmp_path: Path) -> None:
    file = tmp_path / "north" / "ledger.db"
    file.parent.mkdir()
    with sole_coordinator(file):
        for spelt in spellings(file):
            with pytest.raises(LedgerError, match="another process works here"), sole_coordinator(spelt):
                pass
    with sole_coordinator(file):
        pass


@pytest.mark.parametrize("where", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?uri=true"])
def test_a_ledger_in_memory_is_none(where: str) -> None:
    with pytest.raises(LedgerError, match="kept in a file"):
        Ledger.open(where)


def test_a_relative_ledger_is_absolute_in_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ledger_file(ledger_url(absolute_ledger("sqlite:///a%3Fb.db"))) == tmp_path / "a?b.db"
    assert ledger_file(ledger_url(absolute_ledger("b.db"))) == tmp_path / "b.db"
    remote = "postgresql+psycopg://me:pa%40ss@db/atoll"
    assert absolute_ledger(remote) == remote
