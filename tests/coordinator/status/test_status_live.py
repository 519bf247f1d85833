from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from atoll.coordinator.status.live import Live

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def test_what_is_heard_is_there_until_it_is_finished() -> None:
    clock = Clock()
    live = Live(clock)
    live.progress("bank", "u", 1, 10, "begun")
    clock.now += timedelta(minutes=1)
    live.progress("bank", "u", 2, 10, "more")
    underway = live.view().work["bank", "u"]
    assert (underway.since, underway.done, underway.total, underway.note) == (NOON, 2, 10, "more")
    live.finished("bank", "u")
    live.finished("bank", "never heard of")
    assert live.view().work == {}
    assert live.view().started == NOON


def test_an_older_answer_does_not_hide_a_newer_one() -> None:
    live = Live(Clock())
    live.seen("bank", NOON + timedelta(seconds=5))
    live.seen("bank")
    assert live.view().seen == {"bank": NOON + timedelta(seconds=5)}


def test_the_last_fifty_failures_are_kept_and_all_are_counted() -> None:
    live = Live(Clock())
    for number in range(60):
        live.failed("bank", "train", f"{number} " + "x" * 10_000)
    view = live.view()
    assert [failure.reason.split()[0] for failure in view.failures] == [str(number) for number in range(10, 60)]
    assert max(len(failure.reason) for failure in view.failures) == 500
    assert view.failed == 60


def test_a_view_stays_as_it_is() -> None:
    live = Live(Clock())
    before = live.view()
    live.sent("bank", 1)
    live.seen("bank")
    live.failed("bank", "train", "why")
    assert (before.sent, before.seen, before.failures, before.failed) == ({}, {}, [], 0)


def test_threads_lose_nothing() -> None:
    live = Live(Clock())

    def write(_: int) -> None:
        for number in range(500):
            live.received("bank", 1)
            live.progress("bank", f"u{number % 7}", number, 500, "")
            live.view()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert live.view().received == {"bank": 4000}
