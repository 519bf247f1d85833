"""An institution's own settings, as `node.yaml` holds them."""

from dataclasses import dataclass, field

from atoll.workloads.data import DataConfig


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
class NodeConfig:
    """An institution's own settings; they stay on its machine.

    Attributes:
        owner: Short name: letters, digits and hyphens.
        domain: What the data is about, for people.
        data: Where the data is; its key ``workload`` says of what kind it is.
        anchor: ``atoll-3m``, ``smollm2``, ``atoll-mobility`` or the path of a local model.
        licence: Of the expert.
        consent: What it may be used for.
        threads: Threads for tensor work.
        device: ``auto`` takes a GPU where there is one.
    """

    owner: str
    domain: str
    data: DataConfig
    anchor: str = "atoll-3m"
    licence: str = "not stated"
    consent: ConsentTerms = field(default_factory=ConsentTerms)
    threads: int = 1
    device: str = "auto"
