"""How much an owner that leaves is asked to measure of what its exit left."""

from dataclasses import dataclass

from atoll.errors import ConfigError

AUTO, ALWAYS, NEVER = GRADIENTS = ("auto", "always", "never")
_MOST = 5000
_LEAST = 2


@dataclass(frozen=True, kw_only=True)
class UnlearningConfig:
    """The scorecard of an exit.

    Attributes:
        documents: Training documents that are asked about at most, and as many held-out ones, evenly spaced; 0 for no
            scorecard.
        gradient: Whether membership by gradient norm is measured too: ``always``, ``never``, or ``auto`` for all but
            text, whose documents are long: a backward pass for each, and of each model, takes more time than all else.
        min_k: Share of a document's tokens that Min-K% and Min-K%++ look at; OpenUnlearning's benchmarks take 0.4.
    """

    documents: int = 64
    gradient: str = AUTO
    min_k: float = 0.4

    @property
    def on(self) -> bool:
        """Whether anything is measured."""
        return self.documents != 0

    def check(self) -> None:
        """Raise ConfigError for what cannot be."""
        if self.on and not _LEAST <= self.documents <= _MOST:
            raise ConfigError(
                f"unlearning.documents is {self.documents}; it must be {_LEAST} to {_MOST}, or 0 for none"
            )
        if self.gradient not in GRADIENTS:
            raise ConfigError(f"unlearning.gradient is '{self.gradient}'; it is {', '.join(GRADIENTS)}")
        if not 0 < self.min_k <= 1:
            raise ConfigError(f"unlearning.min_k is {self.min_k}; it must be above 0 and at most 1")
