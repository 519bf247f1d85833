"""What is excluded is as if it had never been there, whatever it holds and wherever it comes back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.workloads.mobility.samples import city, same
from tests.workloads.tabular.tables import HEADER, SCHEMA, anchor_of, write

from atoll.errors import ConfigError
from atoll.testing import toy_image_anchor, toy_pictures
from atoll.workloads.excluded import Excluded
from atoll.workloads.images import Images
from atoll.workloads.mobility.city import write_locations
from atoll.workloads.mobility.config import MobilityConfig
from atoll.workloads.mobility.lines import write_trajectories
from atoll.workloads.mobility.table_config import TableConfig
from atoll.workloads.mobility.trajectories import Trajectories, starts
from atoll.workloads.mobility.workload import Mobility
from atoll.workloads.tabular import Tabular, TabularConfig
from atoll.workloads.text import Text, TextConfig
from atoll.workloads.workload import SPLITS, Workload

KEY = bytes(range(32))


def without(workload: Workload, paths: list[str], names: tuple[str, ...] = ()) -> Excluded:
    """Exclude records from a workload; returns the list."""
    excluded = Excluded(KEY).having(workload.named_records(paths, names))
    workload.exclude(excluded)
    return excluded


def test_digests_tell_nothing_without_their_key() -> None:
    one = Excluded(KEY).having([b"patient 7"])
    assert one.holds(b"patient 7")
    assert not Excluded(bytes(32), one.digests).holds(b"patient 7")
    assert not Excluded(KEY).holds(b"")
    assert "KEY" not in repr(one)
    assert KEY.hex() not in repr(one)
    assert one.joined(Excluded(KEY).having([b"x"])).digests > one.digests


def lines(path: Path, texts: list[str]) -> TextConfig:
    import json

    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    return TextConfig(paths=[str(path)], sequence_length=8, validation=0.2, test=0.2)


TEXTS = [f"Document {number}. " + f"word{number} " * (3 + number) for number in range(40)]


@pytest.mark.parametrize("by", ["file", "name"])
def test_text_is_as_if_it_had_never_been_there(tmp_path: Path, tokenizer: Any, by: str) -> None:
    gone = [TEXTS[3], TEXTS[17]]
    lines(tmp_path / "gone.jsonl", gone)
    workload = Text(lines(tmp_path / "all.jsonl", TEXTS), tokenizer, tmp_path / "cache")
    paths = [str(tmp_path / "gone.jsonl")] if by == "file" else []
    excluded = without(workload, paths, () if paths else ("all.jsonl#3", "all.jsonl#17"))
    never = Text(
        lines(tmp_path / "never.jsonl", [text for text in TEXTS if text not in gone]), tokenizer, tmp_path / "c"
    )
    assert workload.counts == never.counts
    for split in SPLITS:
        windows = range(never.windows(split))
        assert all(workload.window(split, index).equal(never.window(split, index)) for index in windows)
    # A file that holds one of them again changes nothing, not even the key; nor would other texts in their place.
    again = Text(lines(tmp_path / "again.jsonl", [*TEXTS, "  " + TEXTS[3]]), tokenizer, tmp_path / "cache")
    again.exclude(excluded)
    assert again.key == workload.key
    other = Text(lines(tmp_path / "other.jsonl", [*TEXTS[:3], "secret", *TEXTS[4:]]), tokenizer, tmp_path / "cache")
    other.exclude(Excluded(KEY).having([b"secret", gone[1].strip().encode()]))
    assert other.key == workload.key


def test_windows_that_hold_a_document(tmp_path: Path, tokenizer: Any) -> None:
    workload = Text(lines(tmp_path / "all.jsonl", TEXTS), tokenizer, tmp_path / "cache")
    for number in range(0, 40, 3):
        held = workload.holding(Excluded(KEY).having([TEXTS[number].strip().encode()]))
        mark = [*f"word{number} ".encode()]
        for split in SPLITS:
            for index in range(workload.windows(split)):
                window = workload.window(split, index).tolist()
                inside = any(window[at : at + len(mark)] == mark for at in range(len(window)))
                assert not inside or index in held[split]
        assert sum(map(len, held.values())) <= len(TEXTS[number]) // 8 + 2
    with pytest.raises(ConfigError, match=r"all.jsonl#40"):
        list(workload.named_records([], ["all.jsonl#40"]))


def test_rows_by_file_and_persons_by_name(tmp_path: Path) -> None:
    rows = [f"{30 + place % 50},{1 + place / 100},{'fm'[place % 2]},{int(place % 50 > 25)}" for place in range(60)]
    config = TabularConfig(paths=[str(write(tmp_path / "all.csv", *rows))], validation=0.2, test=0.3)
    anchor = anchor_of(tmp_path / "anchor")
    workload = Tabular(config, anchor)
    without(workload, [str(write(tmp_path / "gone.csv", rows[7], rows[8]))])
    never = Tabular(replace(config, paths=[str(write(tmp_path / "never.csv", *rows[:7], *rows[9:]))]), anchor)
    assert workload.key == never.key
    with pytest.raises(ConfigError, match="whose"):
        list(workload.named_records([], ["ann"]))
    schema = replace(SCHEMA, person="who")
    named = [f"{row},p{place % 12}" for place, row in enumerate(rows)]
    table = write(tmp_path / "named.csv", *named, header=f"{HEADER},who")
    workload = Tabular(replace(config, paths=[str(table)]), anchor_of(tmp_path / "persons", schema))
    excluded = without(workload, [], ("p5",))
    assert len(excluded.digests) == 1
    assert sum(count.documents for count in workload.counts.values()) == 55
    with pytest.raises(ConfigError, match="nobody") as refused:
        list(workload.named_records([], ["Ann Example"]))
    assert "Ann" not in str(refused.value)


def test_pictures_by_file(tmp_path: Path) -> None:
    from PIL import Image

    config = toy_pictures(tmp_path, ("clinic",), count=60)["clinic"]
    workload = Images(config, toy_image_anchor(tmp_path / "anchor"))
    values = workload.split("train").values[0]
    Image.fromarray(values[0]).save(tmp_path / "one.png")
    before = sum(count.documents for count in workload.counts.values())
    excluded = without(workload, [str(tmp_path / "one.png")])
    assert sum(count.documents for count in workload.counts.values()) == before - 1
    assert not any(workload.holding(excluded).values())


TOWN = city(200)


def walks(users: int = 30, length: int = 4) -> Trajectories:
    rng = np.random.default_rng(0)
    count, visits = 3 * users, 3 * users * length
    ones, places = np.ones(count, dtype=np.float32), rng.integers(0, TOWN.n, visits).astype(np.int32)
    days = rng.integers(0, 7, visits).astype(np.int8)
    more = np.ones(visits, dtype=np.float32)
    return Trajectories(
        np.repeat(np.arange(users), 3), ones, ones, starts([length] * count), places, days, days, more, more
    )


def test_users_by_number_and_by_file(tmp_path: Path) -> None:
    write_locations(tmp_path / "Town.npy", TOWN)
    write_trajectories(tmp_path / "all.txt", walks())
    write_trajectories(tmp_path / "gone.txt", walks().select(walks().user == 11))
    config = MobilityConfig(paths=[str(tmp_path / "all.txt")], locations=str(tmp_path / "Town.npy"), cell_km=1)
    workload = Mobility(config)
    excluded = Excluded(KEY).having(workload.named_records([str(tmp_path / "gone.txt")], ["4"]))
    assert sum(map(len, workload.holding(excluded).values())) == 6
    workload.exclude(excluded)
    left = walks().select(~np.isin(walks().user, [4, 11]))
    write_trajectories(tmp_path / "never.txt", left)
    never = Mobility(replace(config, paths=[str(tmp_path / "never.txt")]))
    assert all(same(workload.trajectories(split), never.trajectories(split)) for split in SPLITS)
    with pytest.raises(ConfigError, match="no user"):
        list(workload.named_records([], ["99"]))


def test_users_of_a_table_of_positions_do_not_shape_the_city(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [
        f"u{user},{1_600_000_000 + 1800 * step},{40 + rng.integers(0, 8) / 100},{-8 + rng.integers(0, 8) / 100}"
        for user in range(12)
        for step in range(40)
    ]

    def opened(name: str, kept: Callable[[str], bool]) -> Mobility:
        path = tmp_path / name
        path.write_text("\n".join(["user,time,latitude,longitude", *filter(kept, rows)]) + "\n")
        table = TableConfig(least_users=1)
        return Mobility(MobilityConfig(paths=[str(path)], format="table", table=table, validation=0.3, test=0.3))

    workload = opened("all.csv", lambda row: True)
    without(workload, [], ("u3",))
    never = opened("never.csv", lambda row: not row.startswith("u3,"))
    assert workload.key == never.key
