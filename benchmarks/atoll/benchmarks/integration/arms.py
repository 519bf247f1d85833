"""What is compared: how experts are trained (an arm), and what is made of them (models)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from atoll.experts.training import ExpertConfig
from atoll.federation.units import Choice, Variant

OWN = "own expert"


@dataclass(frozen=True)
class Model:
    """One way to put experts together."""

    integrator: str
    router: str = "top-k"
    router_options: dict[str, Any] = field(default_factory=dict)
    integrator_options: dict[str, Any] = field(default_factory=dict)
    only: str = ""
    """The one owner whose expert is in it; empty for all."""

    @property
    def name(self) -> str:
        """Integrator, router and options, for a table."""
        options = {**self.integrator_options, **self.router_options, **({"only": self.only} if self.only else {})}
        shown = ", ".join(f"{key}={value}" for key, value in options.items())
        routed = f" {self.router}" if self.integrator == "flexolmo" else ""
        return f"{self.integrator}{routed}{f' ({shown})' if shown else ''}"

    def variant(self, owners: list[str]) -> Variant:
        """For evaluation by a silo."""
        integrator = Choice(name=self.integrator, options=self.integrator_options)
        return Variant(
            name=self.name,
            members=[self.only] if self.only else owners,
            integrator=integrator,
            router=Choice(name=self.router, options=self.router_options),
        )


@dataclass(frozen=True)
class Arm:
    """One way to train experts, and the models that are made of them."""

    name: str
    expert: ExpertConfig
    learning_rate: float
    training_router: Choice = field(default_factory=lambda: Choice(name="top-k"))
    models: tuple[Model, ...] = ()


BASELINES = (
    Model("soup"),
    Model("ensemble", integrator_options={"weighting": "uniform"}),
    Model("ensemble", integrator_options={"weighting": "posterior"}),
    Model("flexolmo", "uniform"),
)

_TOP_K = (
    Model("flexolmo", "top-k"),
    Model("flexolmo", "top-k", {"learned": False}),
    Model("flexolmo", "top-k", {"learned": False, "relative": False, "gain": 1.0}),
)
_DOMAIN = (Model("flexolmo", "domain", {"temperature": 128.0, "anchor": -4.0}),)
_NAIVE_BAYES = (
    Model("flexolmo", "naive-bayes"),
    Model("flexolmo", "naive-bayes", {"temperature": 1.0}),
    Model("flexolmo", "naive-bayes", {"temperature": 1.5}),
    Model("flexolmo", "naive-bayes", {"temperature": 3.0}),
    Model("flexolmo", "naive-bayes", {"smoothing": 0.1}),
    Model("flexolmo", "naive-bayes", {"smoothing": 0.02}),
    Model("flexolmo", "naive-bayes", {"k": 1}),
    Model("flexolmo", "naive-bayes", {"anchor": -8.0}),
)
_ALL = (*BASELINES, *_TOP_K, *_DOMAIN, *_NAIVE_BAYES)

ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("ffn-coordinated", ExpertConfig(kind="ffn", coordinated=True), 8e-3, models=_ALL),
        Arm("ffn-alone", ExpertConfig(kind="ffn"), 8e-3, models=_ALL),
        Arm("lora", ExpertConfig(kind="lora", rank=32, alpha=64.0), 5e-3, models=_ALL),
    )
}


def own(training_router: Choice, owners: Sequence[str]) -> Variant:
    """Each silo's own expert alone, as it was trained."""
    return Variant(
        name=OWN, members=list(owners), integrator=Choice(name="flexolmo"), router=training_router, alone=True
    )
