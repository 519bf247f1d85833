"""A small stream that baselines are tried on."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import nn

from atoll.anchors import Anchor
from atoll.continual.baseline import World
from atoll.continual.budget import Budget
from atoll.testing.anchors import toy_anchor, toy_image_anchor, toy_mobility_anchor
from atoll.testing.pictures import toy_pictures
from atoll.testing.silos import toy_silos
from atoll.workloads.images import Images
from atoll.workloads.mobility import Mobility, MobilityConfig
from atoll.workloads.mobility.generator_config import GeneratorConfig
from atoll.workloads.text import Text
from atoll.workloads.workload import Workload

_OWNERS = ("clinic", "court", "yard")
_STAGES = (("clinic",), ("court",), ("yard",))
_TRAINING = Budget(steps=4, batch=4, learning_rate=2e-2, warmup=1, replay=16, rounds=2)


@dataclass(frozen=True, slots=True)
class Copies:
    """Makes new copies of one model."""

    model: nn.Module

    def __call__(self) -> nn.Module:
        """One more."""
        return copy.deepcopy(self.model)


def toy_world(
    folder: Path,
    workload: Literal["text", "mobility", "images"] = "text",
    *,
    stages: Sequence[Sequence[str]] = _STAGES,
    training: Budget = _TRAINING,
) -> World:
    """Three toy silos as a stream over a toy anchor of one layer.

    Args:
        folder: Where anchor and data are written.
        workload: Of what kind the data is.
        stages: In which order ``clinic``, ``court`` and ``yard`` arrive; not all have to.
        training: What a baseline may spend.
    """
    anchor, workloads = {"text": _text, "mobility": _mobility, "images": _images}[workload](folder)
    for one in workloads.values():
        one.prepare()
    return World(
        anchor=anchor.digest, model=Copies(anchor.model()), stages=stages, workloads=workloads, training=training
    )


def _text(folder: Path) -> tuple[Anchor, dict[str, Workload]]:
    anchor = toy_anchor(folder / "anchor", layers=1)
    tokenizer = anchor.tokenizer()
    configs = toy_silos(folder / "silos", documents=60, words=30)
    return anchor, {owner: Text(config, tokenizer, folder / "cache" / owner) for owner, config in configs.items()}


def _images(folder: Path) -> tuple[Anchor, dict[str, Workload]]:
    anchor = toy_image_anchor(folder / "anchor", layers=1)
    configs = toy_pictures(folder / "silos", _OWNERS)
    return anchor, {owner: Images(config, anchor) for owner, config in configs.items()}


def _mobility(folder: Path) -> tuple[Anchor, dict[str, Workload]]:
    found: dict[str, Workload] = {}
    for place, owner in enumerate(_OWNERS):
        people = GeneratorConfig(users=30, days=4, locations=40 + 10 * place)
        found[owner] = Mobility(
            MobilityConfig(city=owner, format="generated", generator=people, validation=0.2, test=0.2)
        )
    return toy_mobility_anchor(folder / "anchor", layers=1), found
