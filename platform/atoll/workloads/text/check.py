"""Everything that can be wrong with a silo's text, found before any training."""

from collections import Counter
from collections.abc import Mapping

from atoll.errors import DataError
from atoll.workloads.excluded import Excluded
from atoll.workloads.reading import ReadReport, Tally
from atoll.workloads.text.config import TextConfig, validate
from atoll.workloads.text.sources import documents
from atoll.workloads.text.split import Splitting
from atoll.workloads.workload import SPLITS, Split


def check(config: TextConfig, excluded: Excluded | None = None) -> ReadReport:
    """What reading every document once finds; those that are excluded do not count.

    Raises:
        ConfigError: a value, path or glob of the configuration that cannot be used.
        DataError: a file that cannot be read, with the place, or a split without documents.
    """
    validate(config)
    found: Counter[Split] = Counter()
    splitting = splitting_of(config, excluded)
    tally = Tally(config.on_error, compare=True)
    for document in documents(config, excluded, tally):
        found[splitting.split_of(document.text)] += 1
    if not found:
        told = "".join(f"\n  {line}" for line in tally.report().lines()[1:])
        raise DataError(f"text: no readable document: the files in {', '.join(config.paths)} hold no text{told}")
    for split in wanted(config):
        if not found[split]:
            raise DataError(empty(split, "no documents", found, config))
    return tally.report()


def splitting_of(config: TextConfig, excluded: Excluded | None = None) -> Splitting:
    """How a silo's documents are split; reads some of them.

    Raises:
        ConfigError: a path or glob that cannot be used.
        DataError: a file that cannot be read.
    """
    texts = (document.text for document in documents(config, excluded))
    return Splitting.of(texts, validation=config.validation, test=config.test, salt=config.salt)


def wanted(config: TextConfig) -> tuple[Split, ...]:
    """The splits that must not be empty: those that were given a share."""
    shares = {"train": 1.0, "validation": config.validation, "test": config.test}
    return tuple(split for split in SPLITS if shares[split] > 0)


def empty(split: Split, holds: str, found: Mapping[Split, int], config: TextConfig) -> str:
    """The message for a split that cannot be used."""
    share = {
        "train": "lower validation and test",
        "validation": f"raise validation (now {config.validation})",
        "test": f"raise test (now {config.test})",
    }
    advice = ["add text", share[split]]
    if config.document == "file":
        advice.append("set document=paragraphs if these are few, large plain-text files")
    counts = ", ".join(f"{found.get(name, 0)} in {name}" for name in SPLITS)
    total = sum(found.values())
    return (
        f"empty split: {split} has {holds}, of {total} document{'' if total == 1 else 's'} found ({counts}); "
        f"{', or '.join(advice)}"
    )
