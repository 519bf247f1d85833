"""What another package's integrator computes is exported as it computes it, or not at all."""

from pathlib import Path
from typing import Any

import pytest
from tests.plugins.outside import install

from atoll.coordinator.export import export
from atoll.errors import MixtureError

# Kinds that do something of their own, under the name of a built-in: which part of Atoll decides by that name?
SOURCE = """
from dataclasses import dataclass

import torch

from atoll.experts.ffn import FeedForward
from atoll.experts.integrator import Integrator, members
from atoll.experts.lora import Lora
from atoll.mixture import Mixture
from atoll.mixture.routing import Routing


def tilted(kind):
    class Tilted(kind):
        def average(self, module, stacked, x_TD, shares_N):
            heavier = shares_N * torch.arange(1, len(shares_N) + 1)
            return super().average(module, stacked, x_TD, heavier / heavier.sum())

        def mix(self, module, stacked, x_TD, routing):
            return super().mix(module, stacked, x_TD, Routing(routing.slots_TK, routing.weights_TK ** 2))

        def stack(self, module, experts):
            found = super().stack(module, experts)
            return {name: value * 1.5 if name in ("b", "down_proj") else value for name, value in found.items()}

    return Tilted()


class Own(Mixture):
    def forward(self, *args, **kwargs):
        found = super().forward(*args, **kwargs)
        found.logits = found.logits * 1.01
        return found


@dataclass(frozen=True)
class Weighted(Integrator):
    name = "weighted"
    composition: str = "weights"
    own: bool = False

    def integrate(self, anchor, anchor_descriptor, experts, router):
        kind, ordered = members(experts)
        if self.own:
            return Own(anchor, anchor_descriptor, kind, ordered, router, composition=self.composition)
        made = tilted({"ffn": FeedForward, "lora": Lora}[kind.name])
        return Mixture(anchor, anchor_descriptor, made, ordered, router, composition=self.composition)
"""


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = install(tmp_path / "site", "weighting", "0.2", SOURCE, {"atoll.integrators": {"weighted": "Weighted"}})
    monkeypatch.syspath_prepend(str(site))


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("kind", ["ffn", "lora"])
@pytest.mark.parametrize("composition", ["weights", "modules"])
@pytest.mark.parametrize("own", [False, True], ids=["own kind", "own mixture"])
def test_what_computes_something_else_is_not_left(
    make: Any, tmp_path: Path, kind: str, composition: str, own: bool
) -> None:
    options = {"composition": composition, "own": own}
    opened = make(kind=kind, integrator="weighted", integrator_options=options, layers=[1])
    for without in ([], ["library"]):
        with pytest.raises(MixtureError, match=r"other logits|class of its own"):
            export(opened, tmp_path / "out", without=without)
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.glob(".out*"))
