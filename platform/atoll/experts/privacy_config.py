"""Differentially private training of an expert: what the owner promises."""

from dataclasses import dataclass

from atoll.errors import ConfigError

UNITS = ("sequence", "user")
ACCOUNTANTS = ("rdp", "prv")
_PRV_MOST = 10.0


@dataclass(frozen=True, kw_only=True)
class PrivacyConfig:
    """DP-SGD (Abadi et al. 2016, arXiv 1607.00133) at the owner, off by default.

    (ε, δ) bounds what the package tells about any one unit: whether it was in the training split at all. How many units
    there are is taken as known. All tensors are covered: the weights are those of the last step, the descriptor and
    where a coordinated expert's row of the router begins are the anchor's own, and the card holds no loss of the
    validation split. A prior for replay has an ε of its own, which it declares. Several experts of the same data add
    up; a node's account says to what.

    Attributes:
        epsilon: ε to keep to over all of ``training.steps``; 0 for training that is not private.
        delta: δ, below one in the number of units; 0 for ``1 / n^1.1``, with n units or documents, whichever are more.
        clip: Largest norm of what one unit adds to a step's gradient; it takes the place of ``training.clip``.
        unit: ``sequence``, one window of text or one trajectory, for data in which nobody has more than one; or
            ``user``, all that one person has, for workloads that know whose a sample is.
        per_user: Sequences of one user that a step looks at, at most; for unit ``user``.
        accountant: ``rdp`` (Mironov 2017, arXiv 1702.07476), or ``prv`` (Gopi et al. 2021, arXiv 2106.02848), which
            needs a tenth to a fifth less noise, but time and memory that grow with ε.
        chunk: Sequences that are run at a time, in the place of ``training.accumulation``; memory grows with it, and
            nothing else changes.
    """

    epsilon: float = 0.0
    delta: float = 0.0
    clip: float = 1.0
    unit: str = "sequence"
    per_user: int = 8
    accountant: str = "rdp"
    chunk: int = 8

    @property
    def on(self) -> bool:
        """Whether training is private."""
        return self.epsilon > 0

    def check(self) -> None:
        """Raise ConfigError for what cannot be."""
        if not 0 <= self.epsilon < float("inf"):
            raise ConfigError(f"privacy.epsilon is {self.epsilon}; it must be above 0, or 0 for training without noise")
        if not 0 <= self.delta < 1:
            raise ConfigError(f"privacy.delta is {self.delta}; it must be below 1, or 0 for one by the number of units")
        if not 0 < self.clip < float("inf"):
            raise ConfigError(f"privacy.clip is {self.clip}; it must be positive, for noise is measured by it")
        if self.unit not in UNITS:
            raise ConfigError(f"privacy.unit is '{self.unit}'; it is {' or '.join(UNITS)}")
        if self.accountant not in ACCOUNTANTS:
            raise ConfigError(f"privacy.accountant is '{self.accountant}'; it is {' or '.join(ACCOUNTANTS)}")
        if self.accountant == "prv" and self.epsilon > _PRV_MOST:
            raise ConfigError(
                f"privacy.accountant prv outgrows memory at privacy.epsilon {self.epsilon}; take rdp above {_PRV_MOST}"
            )
        for name in ("per_user", "chunk"):
            if getattr(self, name) < 1:
                raise ConfigError(f"privacy.{name} is {getattr(self, name)}; it must be at least 1")
