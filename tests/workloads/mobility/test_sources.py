from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from tests.workloads.mobility.samples import city, same

from atoll.errors import ConfigError, DataError
from atoll.workloads.files import find_files
from atoll.workloads.mobility.city import write_locations
from atoll.workloads.mobility.config import MobilityConfig
from atoll.workloads.mobility.lines import write_trajectories
from atoll.workloads.mobility.measures import measured
from atoll.workloads.mobility.sources import read_silo
from atoll.workloads.mobility.split import split_indices
from atoll.workloads.mobility.trajectories import Trajectories, starts
from atoll.workloads.text.split import split_of
from atoll.workloads.workload import SPLITS

TOWN = city(200)


def walks(users: int = 50, length: int = 8) -> Trajectories:
    """Three trajectories of each user."""
    rng = np.random.default_rng(0)
    count, visits = 3 * users, 3 * users * length
    return Trajectories(
        np.repeat(np.arange(users), 3),
        np.ones(count, dtype=np.float32),
        np.ones(count, dtype=np.float32),
        starts([length] * count),
        rng.integers(0, TOWN.n, visits).astype(np.int32),
        rng.integers(0, 7, visits).astype(np.int8),
        rng.integers(0, 48, visits).astype(np.int8),
        np.ones(visits, dtype=np.float32),
        np.ones(visits, dtype=np.float32),
    )


@pytest.fixture
def silo(tmp_path: Path) -> MobilityConfig:
    write_locations(tmp_path / "Town.npy", TOWN)
    (tmp_path / "lines").mkdir()
    write_trajectories(tmp_path / "lines" / "a.txt", walks())
    return MobilityConfig(paths=[str(tmp_path / "lines")], locations=str(tmp_path / "Town.npy"), cell_km=1)


def test_published_files(silo: MobilityConfig) -> None:
    town, found = read_silo(silo)
    assert town.name == "Town"
    assert same(found, measured(walks(), town))
    assert found.jump.max() > 1
    assert same(read_silo(replace(silo, quantities="given"))[1], walks())
    assert read_silo(replace(silo, city="another"))[0].name == "another"


def test_long_trajectories_are_cut(silo: MobilityConfig) -> None:
    _, found = read_silo(replace(silo, sequence_length=3))
    assert found.lengths[:3].tolist() == [3, 3, 2]


def test_a_table(tmp_path: Path) -> None:
    spots = (41.0, 41.01, 41.02)
    rows = [f"u{user},{3600 * step},{spots[step % 3]},-8" for user in range(6) for step in range(9)]
    (tmp_path / "x.csv").write_text("user,time,latitude,longitude\n" + "\n".join(rows))
    town, found = read_silo(MobilityConfig(format="table", paths=[str(tmp_path / "*.csv")], city="Porto"))
    assert (town.name, town.n, len(found)) == ("Porto", 3, 6)
    assert set(found.lengths.tolist()) == {9}


def test_a_user_is_in_one_split(silo: MobilityConfig) -> None:
    value = walks()
    found = split_indices(value, replace(silo, validation=0.3, test=0.3))
    assert sorted(np.concatenate(list(found.values())).tolist()) == list(range(len(value)))
    users = [set(value.user[found[split]].tolist()) for split in SPLITS]
    assert all(users)
    assert sum(map(len, users)) == len(set(value.user.tolist()))


@given(
    users=st.lists(st.integers(-5, 200), min_size=1, max_size=40),
    validation=st.floats(0, 0.4),
    other=st.floats(0, 0.4),
    test=st.floats(0, 0.5),
)
def test_other_users_and_shares_move_nobody(users: list[int], validation: float, other: float, test: float) -> None:
    value = walks(len(users), 1).select(np.arange(len(users)))
    value = replace(value, user=np.array(users))
    config = MobilityConfig(validation=validation, test=test)
    changed = replace(config, validation=other)

    def natural(shares: MobilityConfig) -> list[str]:
        return [split_of(str(user), validation=shares.validation, test=shares.test) for user in users]

    for each in (config, changed):  # of few users a split that would be empty is given one
        wanted = {"train"} | ({"validation"} if each.validation else set()) | ({"test"} if each.test else set())
        assume(wanted <= set(natural(each)))
    whole = split_indices(value, config)
    assert [next(split for split in SPLITS if n in whole[split]) for n in range(len(users))] == natural(config)
    np.testing.assert_array_equal(split_indices(value, changed)["test"], whole["test"])


def test_shares_and_salt() -> None:
    value = walks(5000, 1)
    config = MobilityConfig(validation=0.1, test=0.2)
    found = split_indices(value, config)
    assert len(found["validation"]) / len(value) == pytest.approx(0.1, abs=0.02)
    assert len(found["test"]) / len(value) == pytest.approx(0.2, abs=0.02)
    assert found["test"].tolist() != split_indices(value, replace(config, salt="other"))["test"].tolist()
    # What a silo tested on must not change with a new version of Atoll.
    assert found["test"][:6].tolist() == [3, 4, 5, 12, 13, 14]


def test_folders_and_globs(tmp_path: Path) -> None:
    for name in ("b/x.txt", "a/y.txt", "a/.hidden", ".secret/z.txt", "a/deep/w.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def names(*entries: str) -> list[str]:
        return [
            path.relative_to(tmp_path).as_posix()
            for path in find_files([f"{tmp_path}/{entry}" for entry in entries], "mobility")
        ]

    assert names("") == ["a/deep/w.txt", "a/y.txt", "b/x.txt"]
    assert names("b", "a/y.txt", "a/*.txt") == ["a/y.txt", "b/x.txt"]
    assert names("**/w.txt") == ["a/deep/w.txt"]


def test_no_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        find_files([str(tmp_path / "x")], "mobility")
    with pytest.raises(ConfigError, match="matches no file"):
        find_files([str(tmp_path / "*.txt")], "mobility")
    with pytest.raises(DataError, match="no file in folder"):
        find_files([str(tmp_path)], "mobility")


GOOD = MobilityConfig(paths=["x"], locations="y.npy")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": "movgcl"}, "format='movgcl' is unknown: did you mean 'movegcl'"),
        ({"quantities": "x"}, "quantities='x' is unknown"),
        ({"paths": []}, "paths is empty"),
        ({"format": "generated"}, "format=generated reads none"),
        ({"locations": ""}, "locations is empty"),
        ({"format": "table"}, "makes its own from the positions"),
        ({"scale_km": 0.0}, "scale_km=0.0 must be a positive number"),
        ({"cell_km": -1.0}, "cell_km=-1.0"),
        ({"validation": 1.0}, "validation=1.0 is not a share"),
        ({"test": float("nan")}, "test=nan is not a share"),
        ({"validation": 0.5, "test": 0.5}, "leave nothing to train on"),
        ({"sequence_length": 1}, "sequence_length=1 must be from 2"),
        ({"sequence_length": 145}, "to 144"),
        ({"table": replace(GOOD.table, days=0)}, "table: days=0"),
    ],
)
def test_values_that_make_no_sense(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(GOOD, **values).check()  # type: ignore[arg-type]


def test_it_is_read_from_yaml() -> None:
    text = "format: table\npaths: [a, b]\ntest: 0.25\ntable:\n  cell_metres: 250\n  time_zone: Europe/Lisbon\n"
    schema = OmegaConf.structured(MobilityConfig)
    found = OmegaConf.to_object(OmegaConf.merge(schema, OmegaConf.create(text)))
    assert isinstance(found, MobilityConfig)
    assert (found.table.cell_metres, found.table.user, found.test) == (250, "user", 0.25)
    found.check()
    assert OmegaConf.to_object(schema) == MobilityConfig()
