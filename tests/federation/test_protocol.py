"""Which protocol two sides agree on, and who is told to upgrade where there is none."""

import json

import pytest

from atoll.errors import FederationError
from atoll.federation import protocol
from atoll.federation.protocol import ProtocolError, agree, is_unversioned
from atoll.federation.talk import Hello, HelloReply, Store, Work


def agreed(newest: int, oldest: int) -> int:
    return agree(newest, oldest, us="this node", them="the coordinator")


@pytest.fixture
def two_to_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "PROTOCOL", 4)
    monkeypatch.setattr(protocol, "OLDEST", 2)


@pytest.mark.usefixtures("two_to_four")
@pytest.mark.parametrize(("newest", "oldest", "expected"), [(4, 2, 4), (3, 1, 3), (2, 2, 2), (9, 3, 4), (9, 4, 4)])
def test_the_newest_that_both_use(newest: int, oldest: int, expected: int) -> None:
    assert agreed(newest, oldest) == expected


@pytest.mark.usefixtures("two_to_four")
@pytest.mark.parametrize(
    ("newest", "oldest", "who"), [(1, 1, "the coordinator"), (9, 5, "this node"), (-3, -9, "the coordinator")]
)
def test_the_older_side_must_upgrade(newest: int, oldest: int, who: str) -> None:
    with pytest.raises(ProtocolError, match=f"^{who} must upgrade"):
        agreed(newest, oldest)


@pytest.mark.usefixtures("two_to_four")
def test_a_range_that_is_upside_down_agrees_on_nothing() -> None:
    with pytest.raises(ProtocolError):
        agreed(3, 4)


def test_questions_without_a_protocol_are_of_the_first() -> None:
    for question in (Hello(), Work(work="train", unit="u", what="{}"), Store(blob="b", size=1, offset=0)):
        fields = json.loads(question.to_json())
        assert type(question).from_json(json.dumps(fields)).protocol == protocol.PROTOCOL
        del fields["protocol"]
        assert type(question).from_json(json.dumps(fields)).protocol == protocol.UNVERSIONED


def test_what_a_node_of_protocol_1_refuses_a_hello_with() -> None:
    with pytest.raises(FederationError) as refused:
        Hello.from_json('{"heard":0,"unheard-of":1}')
    assert is_unversioned(str(refused.value))
    assert not is_unversioned("the policy's max_bytes_per_day is used up")
    assert HelloReply(version="1").protocol == protocol.PROTOCOL
