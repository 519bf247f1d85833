"""A coordinator with valid keys names puppets as members: under `pinned` and `co-signed` they are refused."""

from dataclasses import replace

import pytest
from tests.clients.conftest import train_unit
from tests.clients.measuring.conftest import COORDINATOR, Silo

from atoll.clients.gate.policy import Policy
from atoll.errors import ConfigError, FederationError
from atoll.experts.arrival_config import ArrivalConfig
from atoll.experts.identity import CoSignature
from atoll.experts.signing import OwnerKey
from atoll.experts.statements import rotation
from atoll.federation.talk import Work
from atoll.federation.units import Choice, MemberRef, Past

KEYS = {owner: OwnerKey.generate() for owner in ("court", "yard", "puppet")}


def cosigned(by: str, signer: OwnerKey, owner: str, key: OwnerKey) -> str:
    word = CoSignature(public_key=signer.public.hex, by=by, owner=owner, owner_key=key.public.hex)
    return word.signed(signer).to_line()


def member(silo: Silo, owner: str, key: OwnerKey | None = None) -> MemberRef:
    return silo.expert(owner, lambda _, value: value, key or KEYS[owner])


def measures(silo: Silo, *members: MemberRef) -> str:
    """What becomes of a measurement of these: nothing, or why it is refused."""
    reply = silo.ask(silo.unit(silo.candidate(*members)))
    assert reply.state in ("done", "refused"), reply.note
    return reply.note if reply.state == "refused" else ""


def test_puppets_pass_where_anybody_does(silo: Silo) -> None:
    assert not measures(silo, member(silo, "puppet"))


@pytest.mark.parametrize("peers", ["pinned", "co-signed"])
def test_puppets_are_refused(silo: Silo, peers: str) -> None:
    silo.rules["peers"] = peers
    pinned = silo.gate.works.peers
    pinned.pin("court", KEYS["court"].public)
    assert "'puppet'" in measures(silo, member(silo, "court"), member(silo, "puppet"))
    # A puppet under a member's name has another key.
    assert "'court'" in measures(silo, member(silo, "court", KEYS["puppet"]))
    # Nor do puppets vouch for each other, nor the coordinator for them.
    others = [OwnerKey.generate() for _ in range(3)]
    words = [cosigned(f"puppet-{number}", key, "puppet", KEYS["puppet"]) for number, key in enumerate(others)]
    pinned.hear([*words, cosigned("coordinator", COORDINATOR, "puppet", KEYS["puppet"]), "no document"])
    assert "'puppet'" in measures(silo, member(silo, "puppet"))
    assert not measures(silo, member(silo, "court"))
    # The own expert needs nobody's word.
    assert not measures(silo, silo.expert("clinic", lambda _, value: 2 * value, silo.node.key))


def test_members_vouch_for_a_newcomer(silo: Silo) -> None:
    silo.rules |= {"peers": "co-signed", "peer_cosigners": 1}
    peers = silo.gate.works.peers
    peers.pin("court", KEYS["court"].public)
    yard = member(silo, "yard")
    assert "'yard'" in measures(silo, yard)
    peers.hear([cosigned("court", KEYS["court"], "yard", KEYS["yard"])])
    silo.restart()
    assert not measures(silo, yard, member(silo, "court"))
    silo.rules["peers"] = "pinned"
    own = silo.expert("clinic", lambda _, value: value, silo.node.key)
    assert "'yard'" in measures(silo, yard, own)


def test_a_pinned_member_may_change_its_key_by_its_old_one(silo: Silo) -> None:
    silo.rules["peers"] = "pinned"
    peers, new = silo.gate.works.peers, OwnerKey.generate()
    peers.pin("court", KEYS["court"].public)
    moved = member(silo, "court", new)
    assert "'court'" in measures(silo, moved)
    peers.hear([rotation("court", KEYS["court"], new).to_line()])
    assert not measures(silo, moved, silo.expert("clinic", lambda _, value: value, silo.node.key))


def test_a_release_to_train_beside_is_no_way_around(silo: Silo) -> None:
    silo.rules["peers"] = "pinned"
    past = Past(
        release="",
        members=[member(silo, "puppet")],
        integrator=Choice(name="flexolmo"),
        router=Choice(name="top-k"),
        shared="",
        stage=2,
        arrival=ArrivalConfig(),
        replay=Choice(name="autoregressive"),
    )
    unit = replace(train_unit(silo.node), past=past)
    work = Work(work="train", unit=unit.address, what=unit.to_json(), call="c")
    silo._handle(work, COORDINATOR)
    ready = silo.gate.works._next()
    assert ready is not None
    silo.gate.works._do(ready)
    assert (ready.reply.state, "'puppet'" in ready.reply.note) == ("refused", True)


def test_what_a_policy_cannot_say(silo: Silo) -> None:
    for wrong in ({"peers": "friends"}, {"peer_cosigners": 0}):
        with pytest.raises(ConfigError, match="peer"):
            Policy(coordinators=[], **wrong).check()
    peers = silo.gate.works.peers
    with pytest.raises(FederationError, match="128 KiB"):
        peers.keep("x" * (1 << 18))
    peers.pin("court", KEYS["court"].public)
    assert peers.unpin("court")
    assert not peers.unpin("court")
    (silo.folder / "peers" / "pinned.json").write_text('{"court": "key"}')
    with pytest.raises(ConfigError, match=r"pinned\.json"):
        peers.pinned()
