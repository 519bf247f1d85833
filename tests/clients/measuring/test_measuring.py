"""What a node lets others measure: signed candidates, on documents of its own choice, within a budget."""

from tests.clients.measuring.conftest import Silo


def test_smoke(silo: Silo) -> None:
    one = silo.candidate(silo.noise("court", 1), silo.noise("yard", 2))
    print(silo.figures(silo.unit(one)))
