"""Train the mobility anchor from nothing on generated cities: ``python -m atoll.benchmarks.anchor.mobility --help``.

Every step takes trajectories of one of many made cities, which differ in size, form, tastes, rhythm and in how their
people explore, so that what is learned holds in cities that were never seen. No real data goes in. The folder that is
written is an anchor with a ``recipe.json`` beside it: cities, steps, and figures on cities that were not trained on.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from atoll.anchors import Anchor
from atoll.anchors.mobility import MobilityArchitecture, MobilityModel, save_mobility_anchor
from atoll.benchmarks.mobility.baselines import most_popular, most_visited, popularity
from atoll.workloads.mobility.batches import collate
from atoll.workloads.mobility.city import City
from atoll.workloads.mobility.config import MobilityConfig
from atoll.workloads.mobility.generator import generate, make_city
from atoll.workloads.mobility.generator_config import GeneratorConfig
from atoll.workloads.mobility.scores import Scores, next_location_loss, score
from atoll.workloads.mobility.split import split_indices
from atoll.workloads.mobility.trajectories import Trajectories
from atoll.workloads.order import batch_indices, evaluation_indices

Predict = Callable[[Mapping[str, Tensor]], Tensor]
_FORM = MobilityArchitecture(hidden_size=64, layers=4, heads=4, intermediate_size=128)
_BARE = 0.15
"""Share of the cities without points of interest, or without ranks, as real tables are."""
_RATE, _WARMUP = 3e-3, 200


@dataclass(frozen=True, eq=False)
class Place:
    """A city, the trajectories that are learned from, and those that are not."""

    city: City
    train: Trajectories
    test: Trajectories


def main() -> None:
    """Make the cities, train, measure on others, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the anchor")
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--cities", type=int, default=768)
    parser.add_argument("--batch", type=int, default=16, help="trajectories a step")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    model = MobilityModel(_FORM)
    began = time.monotonic()
    places = [drawn_place(args.seed, number) for number in range(args.cities)]
    print(f"{sum(p.train.visits for p in places)} visits in {len(places)} cities, {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    _train(model, places, args)
    seconds = time.monotonic() - began
    save_mobility_anchor(model, args.out)
    recipe = {
        "cities": len(places),
        "locations": sum(place.city.n for place in places),
        "visits": sum(place.train.visits for place in places),
        "steps": args.steps,
        "batch": args.batch,
        "seed": args.seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(seconds),
        "held_out": held_out(Anchor.open(args.out)),
        "torch": torch.__version__,
    }
    (args.out / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")
    print(json.dumps(recipe, indent=2))


def drawn_place(seed: int, number: int) -> Place:
    """A city of the training distribution, and its people."""
    rng = np.random.default_rng([seed, number])
    config = GeneratorConfig(
        seed=seed,
        map_seed=seed,
        taste_seed=seed,
        users=64,
        days=9,
        locations=int(np.exp(rng.uniform(np.log(300), np.log(2500)))),
        exploration=rng.uniform(0.4, 0.8),
        slowing=rng.uniform(0.1, 0.4),
        jump_exponent=rng.uniform(1.4, 2.1),
        jump_offset_km=rng.uniform(0.7, 2.5),
        size=rng.uniform(0.3, 0.8),
        popularity=rng.uniform(0.1, 0.6),
        tastes=rng.uniform(0.4, 3.0),
        habit=rng.uniform(0.5, 3.5),
        trips=rng.uniform(3, 6),
        home=rng.uniform(0.15, 0.35),
        workers=rng.uniform(0.4, 0.8),
        commute=rng.uniform(0.5, 0.9),
        shift_hours=3.0,
    )
    city = make_city(config, f"drawn-{number}")
    there = generate(config, city)
    return _split(_bared(city, rng), there)


def held_out_place(locations: int) -> Place:
    """A city of the generator's default laws that no training has seen."""
    config = GeneratorConfig(seed=1, map_seed=1, taste_seed=1, users=150, days=12, locations=locations)
    city = make_city(config, f"held-out-{locations}")
    return _split(city, generate(config, city))


def held_out(anchor: Anchor) -> dict[str, dict[str, dict[str, float]]]:
    """Metrics by city and predictor: the anchor, the city's most popular places, the most visited so far."""
    model = anchor.model()
    found = {}
    for place in map(held_out_place, (600, 1200, 3000, 6000)):
        popular = popularity(place.train, place.city.n)
        found[place.city.name] = {
            "anchor": measure(place, lambda batch: model(**batch).logits),
            "most popular": measure(place, partial(most_popular, popular)),
            "most visited": measure(place, partial(most_visited, popular)),
        }
    return found


@torch.no_grad()
def measure(place: Place, predict: Predict, trajectories: int = 160) -> dict[str, float]:
    """Metrics on evenly spaced test trajectories."""
    total = Scores()
    chosen = evaluation_indices(len(place.test), trajectories)
    for start in range(0, len(chosen), 16):
        batch = collate(place.test, chosen[start : start + 16], place.city)
        total += score(predict(batch), batch)
    return total.metrics()


def _split(city: City, there: Trajectories) -> Place:
    found = split_indices(there, MobilityConfig(format="generated", validation=0, test=0.2))
    return Place(city, there.select(found["train"]), there.select(found["test"]))


def _bared(city: City, rng: np.random.Generator) -> City:
    """Some cities without points of interest, some without ranks."""
    features = city.features.copy()
    without_pois, without_ranks = rng.random(2) < _BARE
    features[:, : 2 * city.pois] *= not without_pois
    features[:, -1] *= not without_ranks
    return replace(city, features=features)


def _train(model: MobilityModel, places: list[Place], args: argparse.Namespace) -> None:
    decayed = [p for p in model.parameters() if p.ndim == 2]
    rest = [p for p in model.parameters() if p.ndim != 2]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}])
    average, began = math.nan, time.monotonic()
    order = np.random.default_rng(args.seed)
    for step in range(args.steps):
        place = places[int(order.integers(len(places)))]
        chosen = batch_indices(int(order.integers(1 << 30)), args.batch, args.seed, len(place.train))
        read = collate(place.train, chosen, place.city)
        total, count = next_location_loss(model(**read).logits, read)
        loss = total / count
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min((step + 1) / _WARMUP, 0.5 * (1 + math.cos(math.pi * step / args.steps)))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average = loss.item() if math.isnan(average) else 0.99 * average + 0.01 * loss.item()
        if (step + 1) % 100 == 0:
            rate = (time.monotonic() - began) / (step + 1)
            print(f"step {step + 1} loss {average:.3f} {rate:.3f} s a step", flush=True)
        if (step + 1) % 500 == 0:
            save_mobility_anchor(model, args.out)  # something to look at while it runs


if __name__ == "__main__":
    main()
