"""A partition from one line of text, as suites and commands give it."""

import yaml

from atoll.benchmarks.partitions.partition import GROUP, Partition
from atoll.errors import ConfigError
from atoll.plugins import build


def read_partition(text: str) -> Partition:
    """A registered partition by its name and, after it, its options as a YAML mapping.

    Such as ``natural``, ``dirichlet {alpha: 0.1, silos: 5}`` or ``drifting {last: {rotation: 90}}``.

    Raises:
        ConfigError: options that are no mapping, or that the partition does not have.
        PluginError: there is no such partition.
    """
    name, _, rest = text.strip().partition(" ")
    try:
        options = yaml.safe_load(rest) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"partition '{text}': its options are no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(options, dict):
        raise ConfigError(f"partition '{text}': after the name come options such as {{silos: 5}}")
    found: Partition = build(GROUP, name, options)
    return found
