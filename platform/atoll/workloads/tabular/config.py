"""Which tables to read, and how to split them."""

from dataclasses import dataclass, field

from atoll.errors import ConfigError
from atoll.workloads.classification.samples import Shares
from atoll.workloads.data import DataConfig
from atoll.workloads.reading import check_on_error

REFUSE, MISSING = INVALID = ("refuse", "missing")
"""What happens to a value that cannot be."""


@dataclass(frozen=True, kw_only=True)
class TabularConfig(DataConfig):
    """A silo's rows. What the columns mean is the anchor's to say, whose schema is public and the same for everyone.

    Attributes:
        workload: ``tabular``.
        paths: Files, folders (read with their subfolders, hidden files left out) or globs: Parquet (``.parquet``,
            ``.pq``), or CSV with a header (``.tsv`` with tabs), which may be compressed.
        invalid: A value outside the schema's bounds, or that is none of its values, is an error (``refuse``) or taken
            as ``missing``. Of a label it is always an error.
        on_error: A row that cannot be read is an error once all are read (``refuse``, which names ten and counts all),
            or left out and counted (``skip``).
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
    on_error: str = "refuse"

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
        check_on_error(self.on_error, "tabular")
        self.shares.check("tabular")
