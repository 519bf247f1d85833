import hashlib

from atoll.coordinator.status.access import Access, Patience, PatienceBySource, source_of


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_waiting_grows_to_an_end_and_is_forgotten() -> None:
    clock = Clock()
    patience = Patience(clock)
    waits = []
    for _ in range(12):
        waits.append(patience.seconds())
        patience.wrong()
    assert waits == [0, 0, 0, 0.25, 0.5, 1, 2, 4, 4, 4, 4, 4]
    clock.now = 59.0
    assert patience.seconds() == 4
    clock.now = 60.0
    assert patience.seconds() == 0


def test_cookies_of_two_servers_are_told_apart() -> None:
    one, other = Access("the token of a server"), Access("the token of another one")
    assert one.cookie_name != other.cookie_name
    assert one.is_cookie(one.cookie_value)
    assert not one.is_cookie(other.cookie_value)
    assert not one.is_cookie("the token of a server")
    assert not one.is_token(one.cookie_value.encode())
    # After a restart with the same token, a browser need not log in again.
    assert Access("the token of a server").is_cookie(one.cookie_value)


def test_a_token_in_any_script() -> None:
    access = Access("токен координатора")
    assert access.is_token("токен координатора".encode())
    assert not access.is_token(b"")


def test_who_guesses_keeps_nobody_else_waiting() -> None:
    clock = Clock()
    patience = PatienceBySource(clock, most=100)
    for _ in range(1000):
        patience.wrong("198.51.100.7")
    assert patience.seconds("198.51.100.7") == 4
    assert patience.seconds("192.0.2.1") == 0
    for number in range(1000):
        patience.wrong(f"203.0.113.{number}")
    assert len(patience._known) == 100, "what is remembered of guessers is bounded"
    clock.now = 60.0
    assert patience.seconds("203.0.113.999") == 0


def test_one_machine_is_one_source() -> None:
    assert source_of("192.0.2.1") == source_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert source_of("2001:db8::1") == source_of("2001:db8::ffff:1") != source_of("2001:db8:0:1::1")
    assert source_of("testclient") == "testclient"


def test_an_operators_token_and_its_cookie_end_together() -> None:
    in_force = [hashlib.sha256(b"alice's token").hexdigest(), hashlib.sha256(b"bob's token").hexdigest()]
    access = Access("the token of a server", lambda: in_force)
    alice, bob = access.cookie_for(b"alice's token"), access.cookie_for(b"bob's token")
    assert len({alice, bob, access.cookie_value}) == 3
    assert access.is_token(b"alice's token")
    assert access.is_cookie(alice)
    assert not access.is_token(in_force[0].encode())  # what the ledger holds is no token
    assert not access.is_cookie(in_force[0])
    del in_force[0]
    assert not access.is_token(b"alice's token")
    assert not access.is_cookie(alice)
    assert access.is_cookie(bob)
    assert access.is_token(b"the token of a server")
    assert not access.is_cookie("")
