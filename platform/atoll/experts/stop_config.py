"""When the router's updates end, while everything else goes on being trained."""

from dataclasses import dataclass

from atoll.errors import ConfigError

NEVER, STEPS, CONVERGED = WHENS = ("never", "steps", "converged")
ROUTER_STOPPED = "router_stopped"
"""Name of the figure: optimizer steps in which the router was updated; 0 where it was updated to the end."""


@dataclass(frozen=True, kw_only=True)
class RouterStop:
    """The router's updates end, and experts go on.

    Li et al. (ICLR 2025, arXiv 2406.16437) end them when every expert's gate leads by a threshold, after some rounds of
    exploration. Here the routers differ, and so do their gates; so what is asked is whether the choice has settled.

    Attributes:
        when: ``never``; after so many ``steps``; or when it has ``converged``: when, with ten steps between one look
            and the next, as large a share of the tokens as ``agreement`` says has the same first choice as at the look
            before, at all sites together, ``patience`` times in a row.
        after: Optimizer steps in which the router is updated in any case; with ``steps`` these are all.
        agreement: In (0, 1].
        patience: Looks in a row.
    """

    when: str = NEVER
    after: int = 50
    agreement: float = 0.99
    patience: int = 2

    @property
    def on(self) -> bool:
        """Whether the updates may end before the training does."""
        return self.when != NEVER

    def check(self, where: str) -> None:
        """Raise ConfigError for what cannot be.

        Args:
            where: What messages call it.
        """
        if self.when not in WHENS:
            raise ConfigError(f"{where}.when is '{self.when}'; it is one of {', '.join(WHENS)}")
        for name in ("after", "patience"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{where}.{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 < self.agreement <= 1:
            raise ConfigError(f"{where}.agreement is {self.agreement}; it is a share, above 0 and at most 1")
