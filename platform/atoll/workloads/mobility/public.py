"""The mobility anchor's own domain descriptor, from a city that everyone can generate."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from atoll.anchors.anchor import Anchor
from atoll.anchors.kept import kept_descriptor
from atoll.anchors.states import describe_states
from atoll.mixture import Descriptor
from atoll.workloads.mobility.batches import collate
from atoll.workloads.mobility.generator import generate, make_city
from atoll.workloads.mobility.generator_config import GeneratorConfig
from atoll.workloads.order import evaluation_indices

PUBLIC_CITY = GeneratorConfig(seed=20, users=120, days=6, locations=800)
_TRAJECTORIES = 160
"""Few, since a mean of states over some thousand visits hardly moves with more."""


def public_descriptor(anchor: Anchor, model: nn.Module, sites: Sequence[str], cache: Path) -> Descriptor:
    """The anchor's own descriptor, computed once for each anchor and list of sites, and kept in ``cache``."""
    made_from = [anchor.digest, list(sites), repr(PUBLIC_CITY), _TRAJECTORIES]
    return kept_descriptor(cache, made_from, lambda: describe_states(model, sites, _batches()))


def _batches() -> Iterator[tuple[Mapping[str, Tensor], Tensor]]:
    city = make_city(PUBLIC_CITY, "public")
    there = generate(PUBLIC_CITY, city)
    chosen = evaluation_indices(len(there), _TRAJECTORIES)
    for start in range(0, len(chosen), 16):
        batch = collate(there, chosen[start : start + 16], city)
        yield batch, batch["mask"]
