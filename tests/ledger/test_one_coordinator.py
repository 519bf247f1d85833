"""A ledger has one coordinator, in either database."""

import pytest

from atoll.coordinator.server.sole import sole_coordinator
from atoll.errors import LedgerError
from atoll.ledger import Ledger


def test_a_second_one_refuses_until_the_first_is_gone(where: str) -> None:
    Ledger.open(where).close()
    with sole_coordinator(where), pytest.raises(LedgerError, match="another process works"), sole_coordinator(where):
        pass
    with sole_coordinator(where):
        pass
