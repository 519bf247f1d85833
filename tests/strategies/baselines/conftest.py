import pytest

from atoll.continual.baseline import World
from atoll.testing import toy_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Three silos of text, each a stage."""
    return toy_world(tmp_path_factory.mktemp("world"))
