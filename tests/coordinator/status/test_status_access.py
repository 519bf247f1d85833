from atoll.coordinator.status.access import Access, Patience


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
