"""An institution's own settings, as `node.yaml` holds them."""

from dataclasses import astuple, dataclass, field, fields
from typing import Any

from atoll.errors import ConfigError
from atoll.workloads.data import DataConfig

NOTHING, NOISED, COUNTS = TELL = ("nothing", "noised", "counts")
"""What a replay generator may keep, from least to most."""


@dataclass(frozen=True, kw_only=True)
class ConsentTerms:
    """What the owner permits.

    Attributes:
        purposes: What the expert may be used for.
        until: ISO date after which it may not be used; ``None`` for no end.
        statement: In the owner's words.
    """

    purposes: list[str] = field(default_factory=lambda: ["any"])
    until: str | None = None
    statement: str = "The owner may withdraw this expert at any time."


@dataclass(frozen=True, kw_only=True)
class ReplayTerms:
    """What a replay generator may keep of the owner's data, and how much may be drawn of its domain.

    Attributes:
        tell: ``nothing``, ``noised`` (counts with Laplace noise) or ``counts`` (as they are), both without small ones.
        epsilon: Of the noise, for everything that one package tells; further packages of the same data spend more.
        smallest: A count that fewer documents or people stand behind is told as zero; where there is noise, the noisy
            count is looked at.
        samples: Samples that may be drawn from one release, at most; 0 for no cap.
    """

    tell: str = NOISED
    epsilon: float = 4.0
    smallest: float = 3.0
    samples: int = 5000

    def check(self) -> None:
        """Raise ConfigError for what cannot be."""
        if self.tell not in TELL:
            raise ConfigError(f"replay.tell is '{self.tell}'; it is one of {', '.join(TELL)}")
        if not 0 < self.epsilon < float("inf"):
            raise ConfigError(
                f"replay.epsilon is {self.epsilon}; it must be above 0 (replay.tell=counts adds no noise)"
            )
        if not 0 <= self.smallest < float("inf"):
            raise ConfigError(f"replay.smallest is {self.smallest}; it must be at least 0")
        if self.samples < 0:
            raise ConfigError(f"replay.samples is {self.samples}; it must be at least 0, for no cap")


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    """An institution's own settings; they stay on its machine.

    Attributes:
        owner: Short name: letters, digits and hyphens.
        domain: What the data is about, for people.
        data: Where the data is; its key ``workload`` says of what kind it is.
        anchor: ``atoll-3m``, ``smollm2``, ``atoll-mobility`` or the path of a local model.
        licence: Of the expert.
        consent: What it may be used for.
        replay: What replay may keep of the data, and draw of its domain.
        threads: Threads for tensor work.
        device: ``auto`` takes a GPU where there is one.
        checkpoints: How many earlier checkpoints of a training are kept, evenly over its steps, so that records can be
            forgotten without training all of it anew. Each is about four times as large as the expert.
    """

    owner: str
    domain: str
    data: DataConfig
    anchor: str = "atoll-3m"
    licence: str = "not stated"
    consent: ConsentTerms = field(default_factory=ConsentTerms)
    replay: ReplayTerms = field(default_factory=ReplayTerms)
    threads: int = 1
    device: str = "auto"
    checkpoints: int = 0

    @property
    def shaping(self) -> tuple[Any, ...]:
        """Values of all that decides what comes of a training."""
        named = zip(fields(self), astuple(self), strict=True)
        return tuple(value for each, value in named if each.name != "checkpoints")
