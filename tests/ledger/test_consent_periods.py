"""When something was permitted: periods that meet are one, empty ones are none, and an end is an end."""

from datetime import UTC, date, datetime, timedelta

import pytest

from atoll.ledger.consent import Consents, Period, Standing

HOUR = timedelta(hours=1)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 6, 2, tzinfo=UTC)


def standing(*purposes: str, until: date | None = None) -> Standing:
    return Standing(purposes=purposes, until=until, statement="")


ANY, NONE = standing("any"), standing()
CARE, TODAY = standing("care"), standing("any", until=NOON.date())


@pytest.mark.parametrize(
    ("history", "since", "periods"),
    [
        ([(0, ANY)], 0, [(0, None)]),
        ([(0, ANY), (1, CARE), (2, TODAY)], 0, [(0, MIDNIGHT)]),
        ([(0, ANY), (1, CARE), (2, NONE)], 0, [(0, 2)]),
        ([(0, ANY), (1, NONE), (2, CARE)], 0, [(0, 1), (2, None)]),
        ([(0, ANY), (1, NONE), (2, ANY), (3, CARE), (4, NONE)], 0, [(0, 1), (2, 4)]),
        ([(0, ANY), (0, NONE)], 0, []),
        ([(0, NONE)], 0, []),
        ([(0, ANY), (1, NONE)], 1, []),
        ([(0, ANY), (1, NONE), (2, ANY)], 1, [(2, None)]),
        ([(0, ANY), (3, CARE)], 1, [(1, None)]),
        ([(0, TODAY)], 24, []),
        ([(0, TODAY), (24, ANY)], 0, [(0, MIDNIGHT), (24, None)]),
        ([(0, TODAY), (12, ANY)], 0, [(0, None)]),
        ([(12, TODAY)], 0, []),
    ],
)
def test_periods(
    history: list[tuple[int, Standing]], since: int, periods: list[tuple[int, int | datetime | None]]
) -> None:
    def moment(hours: int | datetime | None) -> datetime | None:
        return NOON + hours * HOUR if isinstance(hours, int) else hours

    consents = Consents([(NOON + hours * HOUR, each) for hours, each in history])
    expected = [(moment(begin), moment(end)) for begin, end in periods]
    assert [(each.begin, each.end) for each in consents.periods(NOON + since * HOUR)] == expected


def test_a_period_is_a_value() -> None:
    assert Period(NOON, None) == Period(NOON, None)


@pytest.mark.parametrize(
    ("purposes", "until", "state"),
    [
        ((), None, "withdrawn"),
        (("any",), None, "given"),
        (("any",), NOON.date(), "restricted"),
        (("care",), None, "restricted"),
        (("any", "care"), None, "given"),
    ],
)
def test_what_it_is_called(purposes: tuple[str, ...], until: date | None, state: str) -> None:
    assert standing(*purposes, until=until).state == state


@pytest.mark.parametrize(
    ("mine", "limit", "purposes", "until"),
    [
        (standing("any"), standing("care"), ("care",), None),
        (standing("care"), standing("any"), ("care",), None),
        (standing("care", "study"), standing("study", "sale"), ("study",), None),
        (standing("care"), standing("sale"), (), None),
        (TODAY, standing("any"), ("any",), NOON.date()),
        (standing("any"), TODAY, ("any",), NOON.date()),
        (TODAY, standing("any", until=date(2026, 5, 1)), ("any",), date(2026, 5, 1)),
        (standing("any", until=date(2026, 5, 1)), TODAY, ("any",), date(2026, 5, 1)),
    ],
)
def test_a_limit_takes_away_and_never_gives(
    mine: Standing, limit: Standing, purposes: tuple[str, ...], until: date | None
) -> None:
    found = mine.limited(limit)
    assert (found.purposes, found.until) == (purposes, until)


def test_statements_count_by_their_numbers_in_whatever_order_they_come() -> None:
    consents = Consents([(NOON, ANY)])
    consents.hear(NONE, 2, NOON + HOUR, signed=True)
    consents.hear(ANY, 1, NOON + 2 * HOUR, signed=True)
    assert consents.now == NONE
    consents.hear(NONE, 2, NOON + 3 * HOUR, signed=True)
    assert len(consents.history) == 2, "the same again is no news"
    consents.hear(CARE, 3, NOON + 4 * HOUR, signed=True)
    assert consents.now == CARE


def test_an_operators_limit_holds_until_the_owner_says_something_later() -> None:
    consents = Consents([(NOON, ANY)])
    consents.hear(ANY, 4, NOON, signed=True)
    consents.limit(CARE, 4, NOON + HOUR)
    assert consents.now.purposes == ("care",)
    assert consents.limited(standing("sale")).purposes == ()
    consents.hear(ANY, 5, NOON + 2 * HOUR, signed=True)
    assert consents.now.purposes == ("any",)
    consents.limit(NONE, 7, NOON + 3 * HOUR)
    consents.hear(ANY, 6, NOON + 4 * HOUR, signed=True)
    assert not consents.now.purposes, "the limit was set after the owner's statement 7"
    consents.hear(NONE, 8, NOON + 5 * HOUR, signed=True)
    consents.hear(ANY, 9, NOON + 6 * HOUR, signed=True)
    assert consents.now.purposes == ("any",)
