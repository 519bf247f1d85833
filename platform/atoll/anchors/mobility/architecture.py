"""The form of a mobility anchor: the fields of its config.json."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from atoll.errors import AnchorError

MODEL_TYPE = "atoll-mobility"
"""What ``model_type`` of config.json says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MobilityArchitecture:
    """A mobility anchor's form.

    Attributes:
        hidden_size: Width of the residual stream, D; a multiple of 8 and of twice the heads.
        layers: How many decoder layers.
        heads: Attention heads.
        intermediate_size: Width of the feed-forward blocks.
        pois: Categories of points of interest in a location's features, P.
        ranks: Popularity ranks, with 0 for unknown.
        days: Days of a week.
        slots: Slots of a day.
        context: The longest trajectory that the anchor was made for, in visits.
        norm_epsilon: Of the RMS norms.
        rope_theta: Base of the rotary embedding.
    """

    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    pois: int = 34
    ranks: int = 9
    days: int = 7
    slots: int = 48
    context: int = 144
    norm_epsilon: float = 1e-6
    rope_theta: float = 10_000.0

    def __post_init__(self) -> None:
        for name in (
            "hidden_size",
            "layers",
            "heads",
            "intermediate_size",
            "pois",
            "ranks",
            "days",
            "slots",
            "context",
        ):
            if getattr(self, name) < 1:
                raise AnchorError(f"a mobility anchor's {name} is {getattr(self, name)}; it must be at least 1")
        if self.hidden_size % 8 or self.hidden_size % (2 * self.heads):
            raise AnchorError(
                f"a mobility anchor's hidden_size is {self.hidden_size}; it must be a multiple of 8 and of twice the "
                f"{self.heads} heads"
            )

    @property
    def family(self) -> str:
        """``mobility``."""
        return "mobility"

    @property
    def vocabulary(self) -> int:
        """0: there is no vocabulary; every city brings its own locations."""
        return 0

    @property
    def tied(self) -> bool:
        """False: the candidate tower is no copy of the encoder."""
        return False

    @property
    def columns(self) -> int:
        """Columns of a city's table of features, F: counts and shares of P categories, two coordinates, a rank."""
        return 2 * self.pois + 3

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "MobilityArchitecture":
        """Read config.json.

        Raises:
            AnchorError: a needed field is missing or is no number, or a field that is not known.
        """
        try:
            kinds = {name: float if name in ("norm_epsilon", "rope_theta") else int for name in cls.__slots__}
            if unknown := sorted(set(config) - {"model_type", *kinds}):
                raise ValueError(f"it does not know {', '.join(unknown)}")
            given: dict[str, Any] = {name: kind(config[name]) for name, kind in kinds.items() if name in config}
            return cls(**given)
        except (TypeError, ValueError) as error:
            raise AnchorError(f"config.json of a mobility anchor: {error}") from error

    def canonical(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {"family": self.family, **asdict(self)}

    def config(self) -> dict[str, Any]:
        """What config.json holds."""
        return {"model_type": MODEL_TYPE, **asdict(self)}
