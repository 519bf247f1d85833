"""A configuration that explains itself reads back to an equal one."""

from dataclasses import dataclass, field
from pathlib import Path

from atoll.clients.gate.policy import Policy
from atoll.config import read_config, to_commented_yaml
from atoll.config.commented import attributes_of
from atoll.experts.signing import OwnerKey


@dataclass(frozen=True, kw_only=True)
class Inner:
    """Of the inside.

    Attributes:
        hours: When: ``22:00-06:00``, # or never.
    """

    hours: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Outer:
    """Of the outside.

    Attributes:
        name: What it is called,
            in so many words.
        inner: The inside; see :mod:`atoll.config`.
    """

    name: str = "x: y"
    inner: Inner = field(default_factory=Inner)
    undescribed: int = 1


def test_every_key_is_explained_by_its_docstring() -> None:
    assert attributes_of(Outer) == {
        "name": "What it is called, in so many words.",
        "inner": "The inside; see atoll.config.",
    }
    lines = to_commented_yaml(Outer(inner=Inner(hours=["Mon 08:00-09:00"]))).splitlines()
    assert lines == [
        "# What it is called, in so many words.",
        "name: 'x: y'",
        "# The inside; see atoll.config.",
        "inner:",
        "  # When: `22:00-06:00`, # or never.",
        "  hours:",
        "  - Mon 08:00-09:00",
        "undescribed: 1",
    ]


def test_a_policy_reads_back_and_every_key_of_it_is_explained(tmp_path: Path) -> None:
    policy = Policy(coordinators=[OwnerKey.generate().public.hex])
    file = tmp_path / "policy.yaml"
    file.write_text(to_commented_yaml(policy), encoding="utf-8")
    assert read_config(Policy, file, []) == policy
    for kind in (Policy, type(policy.measuring), type(policy.training)):
        assert set(attributes_of(kind)) == set(kind.__dataclass_fields__)
