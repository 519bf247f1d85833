"""Federations of real processes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.deployment.federation import Federation


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Federation]]:
    """Makes federations, and stops whatever still runs of them."""
    made: list[Federation] = []

    def make_one(*owners: str) -> Federation:
        made.append(Federation(tmp_path, owners or ("clinic", "court")))
        return made[-1]

    yield make_one
    for each in made:
        each.stop()
