"""Interim reader, replaced by the full one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf

T = TypeVar("T")


def read_config(schema: type[T], file: Path | None, overrides: Sequence[str]) -> T:
    """Interim."""
    parts: list[Any] = [OmegaConf.structured(schema)]
    if file:
        parts.append(OmegaConf.load(file))
    parts.append(OmegaConf.from_dotlist(list(overrides)))
    return OmegaConf.to_object(OmegaConf.merge(*parts))  # type: ignore[return-value]


def to_yaml(config: Any) -> str:
    """Interim."""
    return str(OmegaConf.to_yaml(OmegaConf.structured(config)))
