"""What every workload's configuration of an owner's data has in common: the name of the workload."""

from collections.abc import Mapping
from dataclasses import dataclass

from atoll.plugins import load

GROUP = "atoll.workloads"
DEFAULT = "text"


@dataclass(frozen=True)
class DataConfig:
    """An owner's data. Each workload has a dataclass of its own below this one, which says where the data is.

    Attributes:
        workload: Name of the workload; it decides which keys there are.
    """

    workload: str = DEFAULT

    @staticmethod
    def variant(given: Mapping[str, str]) -> type["DataConfig"]:
        """The dataclass that a mapping with these scalar values is read into.

        Raises:
            PluginError: there is no such workload.
        """
        kind: type[DataConfig] = load(GROUP, given.get("workload", DEFAULT)).Config
        return kind
