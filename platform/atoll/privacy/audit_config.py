"""What an owner is asked to measure of a release's privacy, and on how much of its data."""

from dataclasses import dataclass, field

from atoll.errors import ConfigError
from atoll.privacy.extraction import ExtractionSettings

_MOST = 5000


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """An audit of privacy; the defaults are FlexOlmo's protocol on fewer prefixes, and what a core does in a minute.

    Attributes:
        release: By the name of one of the unit's variants.
        samples: Samples that membership is inferred of, at most: so many trained on, and so many held out; 0 for no
            audit at all.
        replayed: Replay samples that are drawn for it; the owner's cap counts here too.
        neighbours: A sample is as near to replay as to so many replay samples on average.
        extraction: How training sequences are tried to be got back.
        points: Points of a generated trajectory that are looked for among real people.
        seed: Of all choices, together with a secret of the owner's.
    """

    release: str = "mixture"
    samples: int = 500
    replayed: int = 200
    neighbours: int = 5
    extraction: ExtractionSettings = field(default_factory=lambda: ExtractionSettings(prefixes=50))
    points: int = 4
    seed: int = 0

    @property
    def on(self) -> bool:
        """Whether anything is measured."""
        return self.samples != 0

    def check(self) -> None:
        """Raise ConfigError for what cannot be, or is more than an owner should be asked."""
        if not self.on:
            return
        for name in ("samples", "replayed", "neighbours", "points"):
            if not 1 <= getattr(self, name) <= _MOST:
                raise ConfigError(f"audit.{name} is {getattr(self, name)}; it must be 1 to {_MOST}")
        if self.replayed < self.neighbours:
            raise ConfigError(f"audit.replayed is {self.replayed}, fewer than audit.neighbours ({self.neighbours})")
        try:
            self.extraction.check()
        except ConfigError as error:
            raise ConfigError(f"audit.{error}") from error
        tried = self.extraction.prefixes * self.extraction.samples * self.extraction.continuation
        if tried > _MOST * _MOST:
            raise ConfigError(
                f"audit.extraction asks for {tried:,} tokens; lower its prefixes, samples or continuation until they "
                f"are at most {_MOST * _MOST:,}"
            )
