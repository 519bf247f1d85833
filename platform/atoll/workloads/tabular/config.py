"""Which tables to read, and how to split them."""

from dataclasses import dataclass, field

from atoll.errors import ConfigError
from atoll.workloads.classification.samples import Shares
from atoll.workloads.data import DataConfig

REFUSE, MISSING = INVALID = ("refuse", "missing")
"""What happens to a value that cannot be."""


@dataclass(frozen=True, kw_only=True)
class TabularConfig(DataConfig):
    """A silo's rows. What the columns mean is the anchor's to say, whose schema is public and the same for everyone.

    Attributes:
        workload: ``tabular``.
        paths: Files, folders (read with their subfolders, hidden files left out) or globs: Parquet (``.parquet``,
            ``.pq``), or CSV with a header (``.tsv`` with tabs; ``.gz`` is read too).
        invalid: A value outside the schema's bounds, or that is none of its values, is an error (``refuse``) or taken
            as ``missing``. Of a label it is always an error.
        validation: Share of the rows, or of the persons, kept for validation, in [0, 1).
        test: Share kept for the test, in [0, 1).
        salt: Changes which rows fall in which split.
    """

    workload: str = "tabular"
    paths: list[str] = field(default_factory=list)
    invalid: str = REFUSE
    validation: float = 0.1
    test: float = 0.2
    salt: str = ""

    @property
    def shares(self) -> Shares:
        """How they are split."""
        return Shares(self.validation, self.test, self.salt)

    def check(self) -> None:
        """Check the values by themselves, without looking at any file.

        Raises:
            ConfigError: the first value that makes no sense.
        """
        if not self.paths:
            raise ConfigError("tabular: paths is empty; name at least one file, folder or glob")
        if self.invalid not in INVALID:
            raise ConfigError(f"tabular: invalid is '{self.invalid}'; it is {' or '.join(INVALID)}")
        self.shares.check("tabular")
