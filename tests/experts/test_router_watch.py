"""When a router's updates end: after so many steps, or when its choices have settled; and then for good."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from atoll.errors import ConfigError
from atoll.experts.router_watch import RouterWatch, first_choices
from atoll.experts.stop_config import RouterStop
from atoll.mixture import Call, Routing

stops = st.builds(
    RouterStop,
    when=st.sampled_from(["never", "steps", "converged"]),
    after=st.integers(1, 40),
    agreement=st.sampled_from([0.5, 0.75, 1.0]),
    patience=st.integers(1, 3),
)
looks = st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), min_size=8, max_size=8)


def answers(watch: RouterWatch, seen: list[list[int]], first: int = 0, last: int = 80) -> list[bool]:
    def choices(step: int) -> Tensor:
        return torch.tensor(seen[step // 10])

    return [watch.updates(step, lambda step=step: choices(step)) for step in range(first, last)]  # type: ignore[misc]


@given(stops, looks)
def test_once_ended_it_never_begins_again(config: RouterStop, seen: list[list[int]]) -> None:
    watch = RouterWatch(config)
    found = answers(watch, seen)
    updated = sum(found)
    assert found == [True] * updated + [False] * (len(found) - updated)
    assert watch.stopped == (updated if updated < len(found) else 0)
    assert updated >= min(config.after, len(found))
    if config.when == "never":
        assert all(found)
    if config.when == "steps":
        assert updated == config.after


@given(stops, looks, st.integers(0, 80))
def test_a_watch_that_goes_on_says_what_the_whole_one_says(config: RouterStop, seen: list[list[int]], cut: int) -> None:
    whole, first, second = RouterWatch(config), RouterWatch(config), RouterWatch(config)
    expected = answers(whole, seen)
    before = answers(first, seen, 0, cut)
    second.restore({name: value.clone() for name, value in first.state().items()})
    assert before + answers(second, seen, cut) == expected
    assert second.stopped == whole.stopped


def test_it_converges_when_looks_in_a_row_agree() -> None:
    watch = RouterWatch(RouterStop(when="converged", after=15, agreement=0.75, patience=2))
    same, other = [0, 1, 2, 0], [2, 2, 2, 2]
    nearly = [0, 1, 2, 1]
    assert sum(answers(watch, [other, other, same, nearly, nearly, other, other, other])) == 40, (
        "looks at 20, 30 and 40: the first to look back at, then two in a row; those before 15 do not count"
    )


def test_choices_are_the_heaviest_slots_of_what_is_no_padding() -> None:
    slots = torch.tensor([[0, 2], [1, 0], [2, 1]])
    weights = torch.tensor([[0.4, 0.6], [0.9, 0.1], [0.2, 0.8]])
    call = Call(torch.ones(3, dtype=torch.bool), torch.tensor([[True, False, True]]))
    call.routing.update({"b": Routing(slots, weights), "a": Routing(slots, weights.flip(1))})
    assert first_choices(call).tolist() == [0, 2, 2, 1], "site after site by name"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"when": "later"}, "x.when is 'later'"),
        ({"after": 0}, "x.after is 0"),
        ({"patience": 0}, "x.patience is 0"),
        ({"agreement": 1.5}, "x.agreement is 1.5"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RouterStop(**values).check("x")  # type: ignore[arg-type]
