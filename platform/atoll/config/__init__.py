"""Configuration: a dataclass as the schema, a YAML file and ``key=value`` overrides as the values."""

from atoll.config.commented import to_commented_yaml
from atoll.config.reader import literal, read_config, to_yaml

__all__ = ["literal", "read_config", "to_commented_yaml", "to_yaml"]
