import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll.errors import DataError
from atoll.workloads.mobility import scores
from atoll.workloads.mobility.scores import Scores, next_location_loss, ranks, score

_SIZES = {"sequences": st.integers(1, 3), "positions": st.integers(1, 6), "locations": st.integers(1, 9)}


@st.composite
def cases(draw: st.DrawFn) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits with many ties, and a batch that is padded on the right."""
    count, length, locations = (draw(size) for size in _SIZES.values())
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    logits = torch.randint(-2, 3, (count, length, locations), generator=generator).float() / 2
    lengths = torch.tensor(draw(st.lists(st.integers(1, length), min_size=count, max_size=count)))
    mask = torch.arange(length) < lengths[:, None]
    location = torch.randint(locations, (count, length), generator=generator).masked_fill(~mask, 0)
    return logits, {"location": location, "mask": mask}


def brute(logits: torch.Tensor, batch: dict[str, torch.Tensor]) -> Scores:
    total = Scores()
    for row in range(logits.shape[0]):
        for place in range(logits.shape[1] - 1):
            if not batch["mask"][row, place + 1]:
                continue
            values = logits[row, place].tolist()
            target = int(batch["location"][row, place + 1])
            above = sum(value > values[target] for value in values)
            equal = sum(value == values[target] for value in values) - 1
            rank = 1 + above + equal
            loss = math.log(sum(map(math.exp, values))) - values[target]
            total += Scores(int(rank <= 1), int(rank <= 3), int(rank <= 5), 1 / rank, loss, 1)
    return total


def agree(one: Scores, other: Scores) -> bool:
    exact = ("hits_1", "hits_3", "hits_5", "count")
    near = one.loss == pytest.approx(other.loss, rel=1e-4, abs=1e-5)
    near &= one.reciprocal == pytest.approx(other.reciprocal)
    return near and all(getattr(one, name) == getattr(other, name) for name in exact)


@settings(deadline=None)
@given(case=cases(), elements=st.sampled_from([1, 20, 1 << 24]))
def test_against_loops(case: tuple[torch.Tensor, dict[str, torch.Tensor]], elements: int) -> None:
    logits, batch = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "_ELEMENTS", elements)
        found = score(logits, batch)
    expected = brute(logits, batch)
    assert agree(found, expected)
    total, count = next_location_loss(logits, batch)
    assert total.item() == pytest.approx(expected.loss, rel=1e-4, abs=1e-5)
    assert count == expected.count


@settings(deadline=None)
@given(case=cases())
def test_a_batch_scores_what_its_rows_do(case: tuple[torch.Tensor, dict[str, torch.Tensor]]) -> None:
    logits, batch = case
    rows = [score(logits[i : i + 1], {k: v[i : i + 1] for k, v in batch.items()}) for i in range(len(logits))]
    assert agree(score(logits, batch), sum(rows, Scores()))


@settings(deadline=None)
@given(case=cases(), seed=st.integers(0, 99))
def test_padding_plays_no_part(case: tuple[torch.Tensor, dict[str, torch.Tensor]], seed: int) -> None:
    logits, batch = case
    noise = torch.Generator().manual_seed(seed)
    other = logits.clone()
    # The last position predicts nothing, nor does any whose next is padding.
    silent = torch.cat((~batch["mask"][:, 1:], torch.ones(len(logits), 1, dtype=torch.bool)), dim=1)
    other[silent] = torch.randn(int(silent.sum()), logits.shape[-1], generator=noise)
    assert agree(score(logits, batch), score(other, batch))


@settings(deadline=None)
@given(case=cases(), seed=st.integers(0, 99))
def test_the_numbers_of_locations_mean_nothing(case: tuple[torch.Tensor, dict[str, torch.Tensor]], seed: int) -> None:
    logits, batch = case
    order = torch.randperm(logits.shape[-1], generator=torch.Generator().manual_seed(seed))
    renamed = {"location": torch.argsort(order)[batch["location"]], "mask": batch["mask"]}
    assert agree(score(logits[..., order], renamed), score(logits, batch))


def test_equal_scores_earn_nothing() -> None:
    found = ranks(torch.zeros(2, 10), torch.tensor([0, 9]))
    assert found.tolist() == [10, 10]


def test_what_is_not_a_number_comes_last() -> None:
    values = torch.tensor([[1.0, 2.0, 3.0], [math.nan, 0.0, 1.0], [math.nan] * 3])
    assert ranks(values, torch.tensor([1, 2, 0])).tolist() == [2, 2, 3]
    assert ranks(values[1:2], torch.tensor([0])).tolist() == [3]


def test_means() -> None:
    found = Scores(1, 2, 3, 2.0, 8.0, 4).metrics()
    assert found == {"accuracy@1": 0.25, "accuracy@3": 0.5, "accuracy@5": 0.75, "mrr": 0.5, "loss": 2.0}


def test_nothing_to_score() -> None:
    batch = {"location": torch.zeros(2, 1, dtype=torch.int64), "mask": torch.ones(2, 1, dtype=torch.bool)}
    assert score(torch.zeros(2, 1, 3), batch) == Scores()
    total, count = next_location_loss(torch.zeros(2, 1, 3), batch)
    assert (total.item(), count) == (0, 0)
    with pytest.raises(DataError, match="no trajectory has a second visit"):
        Scores().metrics()


@pytest.mark.parametrize("elements", [1, 1 << 24])
def test_its_gradient(elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "_ELEMENTS", elements)
    logits = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0), requires_grad=True)
    batch = {"location": torch.arange(10).reshape(2, 5) % 7, "mask": torch.ones(2, 5, dtype=torch.bool)}
    batch["mask"][1, 3:] = False
    next_location_loss(logits, batch)[0].backward()
    expected = torch.softmax(logits.detach(), -1)
    for row in range(2):
        for place in range(5):
            if place < 4 and batch["mask"][row, place + 1]:
                expected[row, place, batch["location"][row, place + 1]] -= 1
            else:
                expected[row, place] = 0
    torch.testing.assert_close(logits.grad, expected)


def test_half_precision_is_summed_in_float32() -> None:
    logits = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0)).bfloat16()
    batch = {"location": torch.arange(10).reshape(2, 5) % 7, "mask": torch.ones(2, 5, dtype=torch.bool)}
    total, _ = next_location_loss(logits, batch)
    assert total.dtype == torch.float32
    assert total.item() == pytest.approx(next_location_loss(logits.float(), batch)[0].item())
