"""The form of a classifier anchor: the fields of its config.json."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from atoll.anchors.classifier.images import ImagesForm
from atoll.anchors.classifier.stem import StemForm, whole_numbers
from atoll.anchors.classifier.tabular import TabularForm
from atoll.errors import AnchorError

MODEL_TYPE = "atoll-classifier"
"""What ``model_type`` of config.json says."""

STEMS: Mapping[str, type[Any]] = {form.input: form for form in (ImagesForm, TabularForm)}
"""Forms of stems by what they read."""

_REAL = ("scale", "norm_epsilon")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifierArchitecture:
    """A classifier anchor's form.

    Attributes:
        hidden_size: Width of the residual stream, D.
        layers: How many blocks.
        intermediate_size: Width of a block.
        classes: How many directions the fixed head has; less than ``hidden_size``.
        stem: What makes a vector of a sample.
        scale: What cosines are multiplied by to become logits.
        norm_epsilon: Of the RMS norms.
    """

    hidden_size: int
    layers: int
    intermediate_size: int
    classes: int
    stem: StemForm = field(default_factory=ImagesForm)
    scale: float = 16.0
    norm_epsilon: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("hidden_size", "layers", "intermediate_size", "classes"):
            if getattr(self, name) < 1:
                raise AnchorError(f"a classifier anchor's {name} is {getattr(self, name)}; it must be at least 1")
        if self.classes >= self.hidden_size:
            raise AnchorError(
                f"a classifier anchor's classes are {self.classes}; it must be less than its "
                f"hidden_size, {self.hidden_size}, for the directions to be orthogonal"
            )
        if not self.scale > 0:
            raise AnchorError(f"a classifier anchor's scale is {self.scale}; it must be above zero")

    @property
    def family(self) -> str:
        """``classifier``."""
        return "classifier"

    @property
    def input(self) -> str:
        """What the stem reads, and so the name of the workload that gives it."""
        return self.stem.input

    @property
    def vocabulary(self) -> int:
        """0: there are no tokens."""
        return 0

    @property
    def context(self) -> int:
        """1: a sample is one position."""
        return 1

    @property
    def tied(self) -> bool:
        """False: the head is no copy of anything."""
        return False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "ClassifierArchitecture":
        """Read config.json.

        Raises:
            AnchorError: a needed field is missing or is no number, or a field that is not known.
        """
        known = {one.name for one in fields(cls)}
        if unknown := sorted(set(config) - {"model_type", *known}):
            raise AnchorError(f"config.json of a classifier anchor: it does not know {', '.join(unknown)}")
        whole = {name: value for name, value in config.items() if name in known - {"stem", *_REAL}}
        try:
            given: dict[str, Any] = whole_numbers("config.json of a classifier anchor", whole)
            given |= {name: float(config[name]) for name in _REAL if name in config}
            return cls(stem=_stem(config["stem"]), **given)
        except (KeyError, TypeError, ValueError) as error:
            raise AnchorError(f"config.json of a classifier anchor: {error}") from error

    def canonical(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {"family": self.family, **self._plain()}

    def config(self) -> dict[str, Any]:
        """What config.json holds."""
        return {"model_type": MODEL_TYPE, **self._plain()}

    def _plain(self) -> dict[str, Any]:
        return {**asdict(self), "stem": {"input": self.input, **asdict(self.stem)}}  # type: ignore[call-overload]


def _stem(given: Mapping[str, Any]) -> StemForm:
    kind = given["input"]
    if kind not in STEMS:
        raise AnchorError(f"config.json of a classifier anchor: no stem reads '{kind}'; there are {', '.join(STEMS)}")
    form, rest = STEMS[kind], {name: value for name, value in given.items() if name != "input"}
    if unknown := sorted(set(rest) - {one.name for one in fields(form)}):
        raise AnchorError(f"config.json of a classifier anchor: a stem for {kind} does not know {', '.join(unknown)}")
    made: StemForm = form.of(rest)
    return made
