"""Avalanche's strategies as baselines: a table of names, each with the options that a suite may give.

Options carry Avalanche's own names, so that its documentation is theirs too.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from atoll.benchmarks.avalanche.contexts import SCENARIOS, Scenario
from atoll.errors import ConfigError
from atoll.federation.units import Choice

Online = Literal["chunks", "contexts", "memory", "never"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """One of Avalanche's strategies.

    Attributes:
        strategy: Its class in ``avalanche.training``.
        about: What it does, in a line.
        options: Those that there are, with their defaults.
        scenarios: Where it works.
        online: How it takes an online stream: ``chunks``, each an experience of its own; ``contexts``, an experience in
            one pass, for a strategy that has something to do at a context's end; ``memory``, which it fills in one pass
            and trains on; or ``never``.
        joint: Whether it sees all contexts at once.
    """

    strategy: str
    about: str
    options: Mapping[str, Any] = field(default_factory=dict)
    scenarios: tuple[Scenario, ...] = SCENARIOS
    online: Online = "contexts"
    joint: bool = False


_UNTOLD: tuple[Scenario, ...] = ("domain", "class")

BASELINES: Mapping[str, Baseline] = {
    "none": Baseline(strategy="Naive", about="goes on training, and does nothing against forgetting", online="chunks"),
    "joint": Baseline(strategy="JointTraining", about="all contexts at once: the upper bound", joint=True),
    "cumulative": Baseline(strategy="Cumulative", about="trains on all contexts so far", online="never"),
    "ewc": Baseline(
        strategy="EWC",
        about="holds weights that earlier contexts need, by their Fisher information",
        options={"ewc_lambda": 100.0, "mode": "separate", "decay_factor": None},
    ),
    "si": Baseline(
        strategy="Naive",
        about="synaptic intelligence: holds weights by their part in the loss's descent",
        options={"strength": 0.1, "damping": 0.1},
    ),
    "mas": Baseline(
        strategy="MAS",
        about="holds weights that the outputs are sensitive to",
        options={"lambda_reg": 1.0, "alpha": 0.5},
    ),
    "lwf": Baseline(
        strategy="LwF",
        about="distils the earlier model on the new context's inputs",
        options={"alpha": 1.0, "temperature": 2.0},
    ),
    "gem": Baseline(
        strategy="GEM",
        about="projects gradients so that no memory of a context gets worse",
        options={"patterns_per_exp": 20, "memory_strength": 0.5},
    ),
    "agem": Baseline(
        strategy="AGEM",
        about="projects gradients so that the memory on average does not get worse",
        options={"patterns_per_exp": 20, "sample_size": 64},
    ),
    "er": Baseline(
        strategy="Naive",
        about="rehearses a memory of real samples beside the data",
        options={"mem_size": 100},
        online="chunks",
    ),
    "er-ace": Baseline(
        strategy="ER_ACE",
        about="rehearses real samples, with a loss of the new classes among themselves",
        options={"mem_size": 100, "batch_size_mem": 64},
        scenarios=_UNTOLD,
        online="chunks",
    ),
    "der": Baseline(
        strategy="DER",
        about="rehearses real samples with the logits they had",
        options={"mem_size": 100, "batch_size_mem": 64, "alpha": 0.1, "beta": 0.5},
        scenarios=_UNTOLD,
    ),
    "gdumb": Baseline(
        strategy="GDumb",
        about="trains anew on a class-balanced memory alone",
        options={"mem_size": 100},
        online="memory",
    ),
    "generative-replay": Baseline(
        strategy="GenerativeReplay",
        about="rehearses samples of a variational autoencoder under hard labels",
        options={"latent": 20},
        scenarios=_UNTOLD,
        online="never",
    ),
}
"""By the names that suites call them."""


def baseline(choice: Choice, scenario: Scenario, online: bool) -> tuple[Baseline, dict[str, Any]]:
    """The baseline of that name, with all of its options.

    Raises:
        ConfigError: no such name, an option that it does not have or of another type, or a stream on which it does not
            work.
    """
    if choice.name not in BASELINES:
        raise ConfigError(f"'{choice.name}' is no baseline of Avalanche's: {_hint(choice.name, list(BASELINES))}")
    found = BASELINES[choice.name]
    for name, value in choice.options.items():
        if name not in found.options:
            raise ConfigError(f"baseline '{choice.name}' has no option '{name}': {_hint(name, list(found.options))}")
        if not _fits(value, found.options[name]):
            raise ConfigError(
                f"baseline '{choice.name}': {name} is {value!r}, where a value such as {found.options[name]!r} is meant"
            )
    if scenario not in found.scenarios or (online and found.online == "never"):
        where = "on online streams" if online else f"on {scenario}-incremental streams"
        raise ConfigError(f"baseline '{choice.name}' does not work {where} in Avalanche 0.6.0; leave it out there")
    return found, {**found.options, **choice.options}


def _hint(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"there are {', '.join(known) or 'none'}"


def _fits(value: Any, default: Any) -> bool:
    if default is None or isinstance(default, float):
        return (value is None and default is None) or (isinstance(value, int | float) and not isinstance(value, bool))
    return type(value) is type(default)
