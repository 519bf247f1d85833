import pytest
import torch
from torch.nn.functional import cross_entropy, log_softmax

from atoll.workloads.text import loss
from atoll.workloads.text.loss import next_token_loss


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(3, 11, 17, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def ids() -> torch.Tensor:
    return torch.randint(17, (3, 11), generator=torch.Generator().manual_seed(1))


def expected(logits: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> tuple[float, int]:
    logs = log_softmax(logits.double(), dim=-1)
    total, count = 0.0, 0
    for row in range(ids.shape[0]):
        for place in range(1, ids.shape[1]):
            if mask[row, place] and mask[row, place - 1]:
                total -= float(logs[row, place - 1, ids[row, place]])
                count += 1
    return total, count


@pytest.mark.parametrize("elements", [1, 100, 1 << 24])
@pytest.mark.parametrize("masked", [False, True])
def test_it_is_the_sum_over_pairs_of_tokens(
    logits: torch.Tensor, ids: torch.Tensor, elements: int, masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "_ELEMENTS", elements)
    mask = torch.ones(3, 11, dtype=torch.bool)
    if masked:
        mask[0, 4:] = False
        mask[1, :3] = False
        mask[2] = False
    total, count = next_token_loss(logits, ids, mask if masked else None)
    value, pairs = expected(logits, ids, mask)
    assert total.item() == pytest.approx(value)
    assert count == pairs
    assert total.dtype == torch.float32


@pytest.mark.parametrize("elements", [1, 100, 1 << 24])
def test_its_gradient(logits: torch.Tensor, ids: torch.Tensor, elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "_ELEMENTS", elements)
    ours = logits.clone().requires_grad_()
    next_token_loss(ours, ids)[0].backward()
    theirs = logits.clone().requires_grad_()
    cross_entropy(theirs[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="sum").backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_half_precision_is_summed_in_float32(logits: torch.Tensor, ids: torch.Tensor) -> None:
    half = logits.bfloat16()
    total, _ = next_token_loss(half, ids)
    assert total.dtype == torch.float32
    torch.testing.assert_close(total, next_token_loss(half.float(), ids)[0])


def test_nothing_to_predict(logits: torch.Tensor, ids: torch.Tensor) -> None:
    for value in (next_token_loss(logits[:, :1], ids[:, :1]), next_token_loss(logits, ids, ids < 0)):
        assert (value[0].item(), value[1]) == (0.0, 0)
