"""What an institution lets others measure on its data."""

from dataclasses import dataclass, field

from atoll.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class MeasuringPolicy:
    """The rules for measuring, and its budget for the life of a data version, over all coordinators.

    Attributes:
        splits: Splits that others may have measured: ``test``, and ``validation`` where the owner adds it. What was
            trained on is measured by audits alone.
        baselines: Integrators that may be measured in place of a candidate's own.
        documents: Most documents that figures of a split rest on, or the policy's ``min_documents`` where that is more.
            The node chooses them once for a data version.
        clip: Nats a token: how far one document's mean loss under a model may lie from that under the anchor.
        step: Figures are rounded to multiples of it, or of the whole weight of ``step_documents`` documents where that
            is larger: what fewer documents do to a figure mostly does not show.
        step_documents: How many documents a step of the rounding weighs at least.
        noise: Standard deviation of the Gaussian noise of every figure, in weights of one document; 0 for none, and
            then a crafted model that knows all but one document's part learns that part.
        noise_after: Figures of a data version after which the noise's variance has doubled: it grows with what was
            told before, so that the whole budget tells of one document what few figures do.
        models: Most candidates that are measured on a data version.
        figures: Most numbers that are told of a data version: losses, scores and shares.
        audits: Most audits of privacy, which look at the training split, on a data version; 0 for none.
    """

    splits: list[str] = field(default_factory=lambda: ["test"])
    baselines: list[str] = field(default_factory=lambda: ["soup", "ensemble"])
    documents: int = 256
    clip: float = 1.0
    step: float = 0.01
    step_documents: int = 2
    noise: float = 4.0
    noise_after: int = 8
    models: int = 32
    figures: int = 250
    audits: int = 2

    def check(self) -> None:
        """Raise ConfigError for what cannot be."""
        if odd := sorted(set(self.splits) - {"test", "validation"}):
            raise ConfigError(
                f"measuring.splits names '{odd[0]}'; there is test and validation (what was trained on is measured by "
                "audits alone, see measuring.audits)"
            )
        for name in ("documents", "step_documents", "noise_after"):
            if getattr(self, name) < 1:
                raise ConfigError(f"measuring.{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("models", "figures", "audits"):
            if getattr(self, name) < 0:
                raise ConfigError(f"measuring.{name} is {getattr(self, name)}; it must be at least 0")
        for name in ("clip", "step"):
            # Written so that what is not a number is refused as well.
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"measuring.{name} is {getattr(self, name)}; it must be above 0")
        if not 0 <= self.noise < float("inf"):
            raise ConfigError(f"measuring.noise is {self.noise}; it must be at least 0")
