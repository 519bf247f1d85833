"""The stream of cities may be of fewer than six."""

from pathlib import Path

import pytest

from atoll.benchmarks.arrivals.cities import Cities
from atoll.benchmarks.stream.cities import CITIES, cities
from atoll.benchmarks.suites.study import Work
from atoll.errors import ConfigError
from atoll.federation.units import Choice


def tables(folder: Path) -> Path:
    for city in CITIES:
        (folder / f"{city}.npy").touch()
    return folder


def test_the_first_ones_arrive_in_their_order(tmp_path: Path) -> None:
    some = cities(tables(tmp_path), 0, users=9, days=3, steps=5, split="test", count=3)
    assert some.stream.stages == [["washingtondc"], ["atlanta"], ["losangeles"]]
    assert [silo.name for silo in some.silos] == some.stream.owners
    whole = cities(tmp_path, 0, users=9, days=3, steps=5, split="test")
    assert (whole.title, len(whole.silos)) == ("Six cities arrive", 6)
    assert whole.silos[:3] == some.silos


@pytest.mark.parametrize("count", [1, 7])
def test_there_is_no_stream_of_one_and_there_are_six(count: int) -> None:
    work = Work(method=Choice(name="atoll"), seed=0, folder=Path("nowhere"))
    with pytest.raises(ConfigError, match=f"{count} cities: a stream has 2 to 6"):
        Cities(cities=count).run(work)
