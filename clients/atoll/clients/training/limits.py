"""What a node's policy asks of the process that trains; where nobody asks, as in embedded runs, nothing changes."""

from dataclasses import dataclass
from typing import ClassVar

from atoll.config.decode import OWN, Limits
from atoll.federation.units import Unit


@dataclass(frozen=True, kw_only=True)
class TrainLimits(Unit):
    """The policy's part in a training. The agent sends it with the unit, and holds the result against it.

    Attributes:
        min_documents: Fewest distinct documents that a new expert's start is set by, where it begins beside others.
        token_documents: Documents of the descriptor's sample that must hold a token before its share is told; 0 for
            the default.
        digits: Decimals of the figures in the card; below 0 for figures as they are.
        foreign_figures: Whether the card may hold losses of models that others' experts are part of.
    """

    limits: ClassVar[Limits] = OWN

    min_documents: int = 0
    token_documents: int = 0
    digits: int = -1
    foreign_figures: bool = True

    def rounded(self, figures: dict[str, float]) -> dict[str, float]:
        """Figures by name, as they may stand in the card."""
        return figures if self.digits < 0 else {name: round(value, self.digits) for name, value in figures.items()}


NO_LIMITS = TrainLimits()
