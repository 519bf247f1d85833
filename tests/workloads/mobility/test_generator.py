"""Generated trajectories against the laws that the generator claims."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from omegaconf import OmegaConf
from tests.workloads.mobility.samples import same

from atoll.errors import ConfigError
from atoll.workloads.mobility.city import City, read_locations, write_locations
from atoll.workloads.mobility.config import MobilityConfig
from atoll.workloads.mobility.features import location_features, standardised
from atoll.workloads.mobility.generator import generate, make_city
from atoll.workloads.mobility.generator_config import GeneratorConfig
from atoll.workloads.mobility.measures import measured, radius_of_gyration
from atoll.workloads.mobility.sources import read_silo
from atoll.workloads.mobility.trajectories import Trajectories

Doubles = NDArray[np.float64]

EVEN = GeneratorConfig(
    users=24, days=30, trips=24, variety=0, home=0, workers=0, size=0, popularity=0, tastes=0, common_tastes=0, habit=0
)
"""Exploration and preferential return, and nothing beside it but nights."""

DEFAULT = GeneratorConfig(users=80, days=9, locations=400)


def plain(side: int, kilometres: float = 1.0) -> City:
    """A square city that is the same everywhere."""
    cells = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    features = location_features(np.ones((len(cells), 34)), standardised(cells), np.zeros(len(cells)))
    return City("plain", features, (kilometres * cells).astype(np.float32))


def histories(value: Trajectories) -> list[NDArray[np.int32]]:
    """Every user's places in order."""
    owner = np.repeat(value.user, value.lengths)
    return [value.location[owner == user] for user in np.unique(value.user)]


def explorations(value: Trajectories, first: int = 1000) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """From where to where people went when they came to a place for the first time, the first so many."""
    pairs = []
    for places in histories(value):
        new = np.sort(np.unique(places, return_index=True)[1])[1 : 1 + first]
        pairs.append(np.stack((places[new - 1], places[new]), axis=1))
    origin, goal = np.concatenate(pairs).astype(np.int64).T
    return origin, goal


def slope(x: Doubles, y: Doubles) -> float:
    """Exponent of a power law, by least squares on logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


@pytest.mark.parametrize("exponent", [1.4, 1.75, 2.2])
def test_jump_lengths_are_those_of_the_truncated_power_law(exponent: float) -> None:
    town = plain(20)
    config = replace(EVEN, users=500, days=1, exploration=1.0, jump_exponent=exponent, jump_cutoff_km=30.0)
    # Somebody who has seen much finds little that is new nearby.
    origin, goal = explorations(generate(config, town), 4)
    assert len(goal) > 1500
    lengths = town.distances(origin, goal).astype(np.float64)
    others = town.distances(origin).astype(np.float64)

    def chances(beta: float) -> Doubles:
        """Of every place, had it been chosen by the law, given where the city ends."""
        far = np.maximum(others, 1)
        weights = (far + 1.5) ** -beta * np.exp(-far / 30) / far * (others > 0)
        normalised: Doubles = weights / weights.sum(1, keepdims=True)
        return normalised

    def likelihood(beta: float) -> float:
        return float(np.log(chances(beta)[np.arange(len(goal)), goal]).mean())

    tried = exponent + np.arange(-0.6, 0.61, 0.1)
    assert float(tried[np.argmax([likelihood(beta) for beta in tried])]) == pytest.approx(exponent, abs=0.15)
    # And not the exponent alone, but the whole law: as many jumps of each length as it says.
    edges = np.array([1.2, 2.1, 3.5, 6.0, 10.0, 45.0])
    far = chances(exponent)
    expected = np.array([far[(others >= low) & (others < high)].sum() for low, high in pairwise(edges)])
    assert (np.abs(np.histogram(lengths, edges)[0] - expected) < 3.5 * np.sqrt(expected)).all()


def test_jumps_are_cut_off() -> None:
    near, far = (
        float(np.quantile(generate(replace(EVEN, days=4, jump_cutoff_km=cutoff), plain(60)).jump, 0.9))
        for cutoff in (3.0, 80.0)
    )
    assert near < 0.6 * far


@pytest.mark.parametrize("slowing", [0.21, 1.0])
def test_distinct_places_grow_sublinearly(slowing: float) -> None:
    # dS/dn = rho S^-gamma gives S ~ n^(1 / (1 + gamma)) (Song et al. 2010, equation 5).
    value = generate(replace(EVEN, slowing=slowing), plain(50))
    grown = []
    counts = np.unique(np.geomspace(40, min(map(len, histories(value))), 20).astype(np.int64))
    for places in histories(value):
        new = np.zeros(len(places))
        new[np.unique(places, return_index=True)[1]] = 1
        grown.append(new.cumsum()[counts - 1])
    assert slope(counts.astype(np.float64), np.mean(grown, axis=0)) == pytest.approx(1 / (1 + slowing), abs=0.05)


def by_the_law(exploration: float, slowing: float, visits: int, rng: np.random.Generator) -> Doubles:
    """Visits to each place of somebody who explores and returns, without space and time."""
    counts, here = [1], 0
    for uniform in rng.random(visits - 1):
        if len(counts) == 1 or uniform < exploration * len(counts) ** -slowing:
            here = len(counts)
            counts.append(0)
        else:
            others = np.array(counts, dtype=np.float64)
            others[here] = 0
            here = int(np.searchsorted(others.cumsum(), rng.random() * others.sum(), side="right"))
        counts[here] += 1
    return np.array(counts, dtype=np.float64)


@pytest.mark.parametrize(("slowing", "least", "most"), [(0.21, 0.75, 1.2), (0.6, 1.2, 1.8)])
def test_ranks_of_places_follow_zipf(slowing: float, least: float, most: float) -> None:
    # f(k) ~ k^-(1 + gamma) in the limit (Song et al. 2010, equation 6); less, while there is much exploring.
    rng = np.random.default_rng(0)
    ranks = np.arange(3, 26)
    found: list[Doubles] = []
    expected: list[Doubles] = []
    for places in histories(generate(replace(EVEN, slowing=slowing), plain(30))):
        lawful = by_the_law(EVEN.exploration, slowing, len(places), rng)
        for ranked, counts in ((found, np.bincount(places, minlength=900).astype(np.float64)), (expected, lawful)):
            ranked.append(np.sort(counts)[::-1][ranks - 1] / len(places))
    logarithms = np.log(ranks), np.log(np.mean(found, axis=0))
    assert np.corrcoef(*logarithms)[0, 1] < -0.98
    exponent = slope(ranks.astype(np.float64), np.mean(found, axis=0))
    assert exponent == pytest.approx(slope(ranks.astype(np.float64), np.mean(expected, axis=0)), abs=0.1)
    assert least < -exponent < most


def test_returns_are_in_proportion_to_visits() -> None:
    config = replace(EVEN, exploration=0.05, slowing=0.0, days=20)
    more, total = 0, 0
    for places in histories(generate(config, plain(30))):
        counts = np.zeros(900)
        for before, place in pairwise(places.tolist()):
            counts[before] += 1
            known = np.flatnonzero(counts)
            known = known[known != before]
            if counts[place] and place != before and len(known) > 1:
                # How much likelier than one of the known, taken alike, a place with that many visits is.
                more += counts[place] / counts[known].mean()
                total += np.square(counts[known]).mean() / counts[known].mean() ** 2
    assert more / total == pytest.approx(1, abs=0.05)
    assert total > 1.3 * sum(len(places) for places in histories(generate(config, plain(30))))


def test_radius_of_gyration_is_uneven_and_grows_slowly() -> None:
    town = make_city(GeneratorConfig(locations=1500), "wide")
    tenth, most = np.quantile(generate(replace(DEFAULT, days=12), town).radius, (0.1, 0.9))
    assert most > 2.5 * tenth
    value = generate(replace(DEFAULT, users=40, days=48), town)
    codes = np.repeat(value.user, value.lengths)
    time = np.arange(value.visits) - np.searchsorted(codes, codes)
    median = []
    for visits in (25, 50, 100, 200):
        early = time < visits
        radius = radius_of_gyration(town.places[value.location[early]], codes[early])
        median.append(float(np.median(radius)))
    # A random walk has 1/2, and somebody who keeps to few places less and less.
    assert 0 <= slope(np.array([25.0, 50, 100, 200]), np.array(median)) < 0.2


def test_days_have_a_rhythm_and_nights_are_at_home() -> None:
    town = make_city(DEFAULT, "x")
    value = generate(replace(DEFAULT, shift_hours=0.0), town)
    moved = ~value.first
    hour, weekend = value.slot // 2, value.day >= 5
    night = (hour >= 1) & (hour < 5)
    assert night[moved].mean() < 0.03
    weekday = np.bincount(hour[moved & ~weekend], minlength=24)
    assert weekday[7:9].mean() > 2 * weekday[9:11].mean()
    assert weekday[7:9].mean() > 3 * np.bincount(hour[moved & weekend], minlength=24)[7:9].mean()
    at_midnight = value.location[value.start[:-1]]
    favourite = np.array([np.bincount(places).argmax() for places in histories(value)])
    assert (at_midnight == favourite[np.searchsorted(np.unique(value.user), value.user)]).mean() > 0.75


@pytest.mark.parametrize("trips", [2.0, 4.0, 7.0])
def test_people_move_as_often_as_they_are_told(trips: float) -> None:
    value = generate(replace(DEFAULT, trips=trips, shift_hours=0.0), make_city(DEFAULT, "x"))
    awake = (value.slot >= 12) & (value.slot < 44) & ~value.first
    assert awake.sum() / (DEFAULT.users * DEFAULT.days) == pytest.approx(trips, rel=0.1)


def test_later_cities_start_later() -> None:
    hours = []
    for name in map(str, range(8)):
        value = generate(replace(DEFAULT, users=20, shift_hours=4.0), make_city(DEFAULT, name))
        angle = np.exp(2j * np.pi * value.slot[~value.first] / 48).mean()
        hours.append(float(np.angle(angle) * 12 / np.pi))
    assert np.std(hours) > 2


def test_workers_commute() -> None:
    config = replace(DEFAULT, workers=1.0, commute=1.0, shift_hours=0.0)
    value = generate(config, make_city(config, "x"))
    goals: dict[int, set[int]] = {}
    for i in range(len(value)):
        of = value.window(i)
        home = int(of.location[0])
        for place, goal, day, slot in zip(of.location, of.location[1:], of.day[1:], of.slot[1:], strict=False):
            if place == home and day < 5 and 12 <= slot < 20 and i % 4 < 2:
                goals.setdefault(of.user, set()).add(int(goal))
    single = np.mean([len(found) == 1 for found in goals.values()])
    assert single > 0.85


def shares(value: Trajectories, town: City) -> Doubles:
    """What there is at the places that people came to, as shares of the categories of points of interest."""
    offered: Doubles = town.features[explorations(value)[1], town.pois : 2 * town.pois].mean(0, dtype=np.float64)
    return offered


def test_a_city_has_tastes_of_its_own() -> None:
    town = make_city(DEFAULT, "x")
    other = City("y", town.features, town.kilometres)

    def apart(one: GeneratorConfig, another: GeneratorConfig) -> float:
        mine, theirs = shares(generate(one, town), town), shares(generate(another, other), other)
        return float(np.abs(mine - theirs).sum())

    strong, none = replace(DEFAULT, tastes=1.5), replace(DEFAULT, tastes=0.0)
    assert apart(strong, strong) > 3 * apart(none, none)


def test_other_people_have_their_city_s_tastes() -> None:
    town = make_city(DEFAULT, "x")
    strong = replace(DEFAULT, tastes=1.5)
    mine = shares(generate(strong, town), town)
    people, tastes = (
        float(np.abs(mine - shares(generate(config, town), town)).sum())
        for config in (replace(strong, seed=1), replace(strong, taste_seed=1))
    )
    assert tastes > 2 * people


def test_habits_keep_to_the_hour() -> None:
    town = make_city(DEFAULT, "x")

    def spread(habit: float) -> float:
        value = generate(replace(DEFAULT, habit=habit, tastes=2.0, days=24, home=0.0), town)
        part = value.slot // 8
        table = np.zeros((town.n, 6))
        np.add.at(table, (value.location, part), 1)
        overall = table.sum(0) / table.sum()
        seen = table[table.sum(1) > 30]
        return float(np.abs(seen / seen.sum(1, keepdims=True) - overall).sum(1).mean())

    assert spread(3.0) > 1.2 * spread(0.0)


def test_windows_are_what_the_workload_reads() -> None:
    town = make_city(DEFAULT, "x")
    value = generate(replace(DEFAULT, trips=40.0, days=7), town)
    assert 2 <= value.lengths.min() <= value.lengths.max() <= 144
    assert value.lengths.max() > 50
    time = value.day.astype(np.int64) * 48 + value.slot
    follows = ~value.first
    np.testing.assert_array_equal(np.diff(time)[follows[1:]], value.wait[follows])
    assert value.wait[follows].min() >= 1
    assert not value.wait[value.first].any()
    assert (np.diff(value.location)[follows[1:]] != 0).all()
    assert value.location.max() < town.n
    assert same(value, measured(value, town))
    assert value.user.tolist() == sorted(value.user.tolist())
    assert set(value.day[value.start[:-1]].tolist()) == {0, 3, 6}


def test_the_same_again_whatever_else_is_done() -> None:
    town = make_city(DEFAULT, "x")
    value = generate(DEFAULT, town)
    generate(DEFAULT, make_city(DEFAULT, "y"))
    again = make_city(DEFAULT, "x")
    assert np.array_equal(again.features, town.features)
    assert same(generate(DEFAULT, again), value)
    for other in (replace(DEFAULT, seed=1), replace(DEFAULT, taste_seed=1)):
        assert not np.array_equal(generate(other, town).location, value.location)
    assert not np.array_equal(generate(DEFAULT, replace(town, name="y")).location, value.location)


def test_a_made_city_is_a_city_on_a_grid(tmp_path: Path) -> None:
    town = make_city(GeneratorConfig(locations=700), "x")
    assert (town.n, town.pois) == (700, 34)
    assert len(np.unique(town.places, axis=0)) == 700
    write_locations(tmp_path / "x.npy", town)
    read = read_locations(tmp_path / "x.npy", "x")
    np.testing.assert_allclose(read.distances(0), town.distances(0), atol=1e-4)
    total = town.counts.sum(1)
    medians = [float(np.median(total[town.ranks == rank])) for rank in range(1, 9)]
    assert medians == sorted(medians, reverse=True)
    assert medians[0] > 5 * medians[-1] > 0
    other = make_city(GeneratorConfig(locations=700), "y")
    assert not np.array_equal(other.features, town.features)
    assert not np.array_equal(make_city(GeneratorConfig(locations=700, map_seed=1), "x").features, town.features)


@pytest.mark.parametrize(
    "config",
    [
        replace(DEFAULT, locations=2),
        replace(DEFAULT, locations=5, exploration=1.0, slowing=0.0),
        replace(DEFAULT, users=1, days=3),
        replace(DEFAULT, exploration=0.0, workers=0.0),
        replace(DEFAULT, jump_cutoff_km=0.01),
        replace(DEFAULT, tastes=3.0, common_tastes=3.0, habit=5.0, size=2.0, popularity=3.0, users=20),
    ],
)
def test_extreme_people(config: GeneratorConfig) -> None:
    town = make_city(config, "x")
    value = generate(config, town)
    assert len(np.unique(value.location)) >= 2
    assert (np.diff(value.location)[~value.first[1:]] != 0).all()


def test_nowhere_to_go() -> None:
    alone = City("alone", plain(1).features, plain(1).kilometres)
    with pytest.raises(ConfigError, match="city 'alone' has 1 location"):
        generate(DEFAULT, alone)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"users": 0}, "generator: users=0 must be a whole number from 1"),
        ({"days": 0}, "days=0"),
        ({"locations": 1}, "locations=1 must be a whole number from 2"),
        ({"exploration": 1.5}, "exploration=1.5 is not a share"),
        ({"home": -0.1}, "home=-0.1"),
        ({"workers": float("nan")}, "workers=nan"),
        ({"commute": 2.0}, "commute=2.0"),
        ({"slowing": -1.0}, "slowing=-1.0 must be a number from 0"),
        ({"jump_exponent": float("inf")}, "jump_exponent=inf"),
        ({"jump_offset_km": 0.0}, "jump_offset_km=0.0 must be a positive number"),
        ({"jump_cutoff_km": -1.0}, "jump_cutoff_km=-1.0"),
        ({"trips": 0.0}, "trips=0.0"),
        ({"size": 3.0}, "size=3.0"),
        ({"popularity": -1.0}, "popularity"),
        ({"tastes": 4.0}, "tastes=4.0 must be a number from 0 to 3"),
        ({"common_tastes": -1.0}, "common_tastes"),
        ({"habit": 6.0}, "habit"),
        ({"variety": -1.0}, "variety"),
        ({"shift_hours": 13.0}, "shift_hours"),
    ],
)
def test_values_that_make_no_sense(values: dict[str, float], message: str) -> None:
    bad = GeneratorConfig(**values)  # type: ignore[arg-type]
    for refuse in (bad.check, MobilityConfig(format="generated", generator=bad).check):
        with pytest.raises(ConfigError, match=message):
            refuse()
    with pytest.raises(ConfigError, match=message):
        make_city(bad, "x")


def test_a_silo_of_generated_people(tmp_path: Path) -> None:
    text = "format: generated\ncity: Springfield\ngenerator: {users: 30, days: 3, locations: 200, tastes: 0.5}\n"
    found = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(MobilityConfig), OmegaConf.create(text)))
    assert isinstance(found, MobilityConfig)
    town, value = read_silo(found)
    assert (town.name, town.n, len(np.unique(value.user))) == ("Springfield", 200, 30)
    assert same(value, generate(found.generator, make_city(found.generator, "Springfield")))
    write_locations(tmp_path / "Shelbyville.npy", make_city(GeneratorConfig(locations=150), "x"))
    town, value = read_silo(replace(found, locations=str(tmp_path / "Shelbyville.npy"), city=""))
    assert (town.name, town.n) == ("Shelbyville", 150)
    assert value.location.max() < 150
    assert read_silo(replace(found, sequence_length=4))[1].lengths.max() == 4
