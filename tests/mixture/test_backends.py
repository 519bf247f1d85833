"""Every backend computes the same sums, with the same gradients, as the formula taken token by token in float64."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from atoll.errors import MixtureError
from atoll.mixture.backends.choose import choose_feed_forward, choose_lora
from atoll.mixture.backends.feed_forward import FeedForwardBackend, feed_forward
from atoll.mixture.backends.grouping import can_group
from atoll.mixture.backends.lora import LoraBackend, lora_delta
from atoll.mixture.routing import Routing

CPU = torch.device("cpu")
LORA: tuple[LoraBackend, ...] = ("loop", "concatenated", "grouped", "dense")
FEED_FORWARD: tuple[FeedForwardBackend, ...] = ("loop", "grouped", "dense")
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 4e-2}
# 8 and 16 are what grouped_mm takes; 5 is not.
WIDTHS = st.sampled_from([5, 8, 16])
DTYPES = st.sampled_from([torch.float32, torch.float64])


def random_routing(tokens: int, slots: int, chosen: int, seed: int) -> Routing:
    """Distinct slots for each token, about a third of them with weight zero; then slots may repeat."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(tokens, chosen, generator=generator)
    unused = torch.rand(tokens, chosen, generator=generator) < 0.3
    distinct = torch.rand(tokens, slots, generator=generator).argsort(1)[:, :chosen]
    anywhere = torch.randint(slots, (tokens, chosen), generator=generator)
    return Routing(torch.where(unused, anywhere, distinct), weights.masked_fill(unused, 0))


def random_tensors(shapes: list[tuple[int, ...]], dtype: torch.dtype, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed + 1)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def gradients(run: Callable[..., Tensor], routing: Routing, tensors: list[Tensor]) -> list[Tensor]:
    """The output, then the gradients of a fixed random projection of it: of each tensor and of the weights."""
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    weights = routing.weights_TK.clone().requires_grad_()
    output = run(*leaves, routing=Routing(routing.slots_TK, weights))
    direction = torch.randn(output.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = torch.autograd.grad((output * direction.to(output.dtype)).sum(), [*leaves, weights], materialize_grads=True)
    return [output.detach(), *found]


def lora_by_token(x: Tensor, a: Tensor, b: Tensor, scale: Tensor, routing: Routing) -> Tensor:
    rows = [0 * b.sum((0, 2)) for _ in x]
    for t in range(x.shape[0]):
        for k in range(routing.slots_TK.shape[1]):
            slot, weight = int(routing.slots_TK[t, k]), routing.weights_TK[t, k]
            if slot > 0 and weight > 0:
                rows[t] = rows[t] + weight * scale[slot - 1] * (b[slot - 1] @ (a[slot - 1] @ x[t]))
    return torch.stack(rows) if rows else x @ a.sum(0).T @ b.sum(0).T


def block_by_token(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, routing: Routing) -> Tensor:
    rows = [0 * token for token in x]
    for t in range(x.shape[0]):
        for k in range(routing.slots_TK.shape[1]):
            slot, weight = int(routing.slots_TK[t, k]), routing.weights_TK[t, k]
            if weight > 0:
                rows[t] = rows[t] + weight * (down[slot] @ (functional.silu(gate[slot] @ x[t]) * (up[slot] @ x[t])))
    return torch.stack(rows) if rows else x * gate.sum()


def assert_same(found: list[Tensor], expected: list[Tensor], dtype: torch.dtype) -> None:
    """Equal relative to the largest entry; the last, the gradient of the weights, is never finer than their float32."""
    for position, (one, other) in enumerate(zip(found, expected, strict=True)):
        tolerance = TOLERANCE[dtype] if position < len(found) - 1 else max(TOLERANCE[dtype], 1e-6)
        size = max(1.0, float(other.abs().max())) if other.numel() else 1.0
        torch.testing.assert_close(one.double(), other.double(), rtol=0, atol=tolerance * size)


def lora_case(
    tokens: int, experts: int, rank: int, width: int, out: int, chosen: int, dtype: torch.dtype, seed: int
) -> tuple[Routing, list[Tensor]]:
    shapes: list[tuple[int, ...]] = [(tokens, width), (experts, rank, width), (experts, out, rank), (experts,)]
    return random_routing(tokens, experts + 1, chosen, seed), random_tensors(shapes, dtype, seed)


def block_case(
    tokens: int, slots: int, width: int, hidden: int, chosen: int, dtype: torch.dtype, seed: int
) -> tuple[Routing, list[Tensor]]:
    shapes: list[tuple[int, ...]] = [
        (tokens, width),
        (slots, hidden, width),
        (slots, hidden, width),
        (slots, width, hidden),
    ]
    return random_routing(tokens, slots, chosen, seed), random_tensors(shapes, dtype, seed)


def run_lora(backend: LoraBackend) -> Callable[..., Tensor]:
    return lambda x, a, b, scale, routing: lora_delta(x, a, b, scale, routing, backend)


def run_block(backend: FeedForwardBackend) -> Callable[..., Tensor]:
    return lambda x, gate, up, down, routing: feed_forward(x, gate, up, down, routing, functional.silu, backend)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 7), st.integers(1, 5), st.integers(1, 9), WIDTHS, WIDTHS, DTYPES, st.integers(0, 99))
def test_lora_backends_agree_in_value_and_gradient(
    data: st.DataObject, tokens: int, experts: int, rank: int, width: int, out: int, dtype: torch.dtype, seed: int
) -> None:
    chosen = data.draw(st.integers(1, experts + 1))
    routing, tensors = lora_case(tokens, experts, rank, width, out, chosen, dtype, seed)
    expected = gradients(lora_by_token, routing, [tensor.double() for tensor in tensors])
    for backend in LORA:
        found = gradients(run_lora(backend), routing, tensors)
        assert found[0].dtype == dtype
        assert_same(found, expected, dtype)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 7), st.integers(1, 5), WIDTHS, WIDTHS, DTYPES, st.integers(0, 99))
def test_feed_forward_backends_agree_in_value_and_gradient(
    data: st.DataObject, tokens: int, slots: int, width: int, hidden: int, dtype: torch.dtype, seed: int
) -> None:
    chosen = data.draw(st.integers(1, slots))
    routing, tensors = block_case(tokens, slots, width, hidden, chosen, dtype, seed)
    expected = gradients(block_by_token, routing, [tensor.double() for tensor in tensors])
    for backend in FEED_FORWARD:
        found = gradients(run_block(backend), routing, tensors)
        assert found[0].dtype == dtype
        assert_same(found, expected, dtype)


def test_bfloat16_is_near_the_exact_result() -> None:
    routing, tensors = lora_case(9, 3, 8, 16, 16, 2, torch.bfloat16, 3)
    expected = gradients(lora_by_token, routing, [tensor.double() for tensor in tensors])
    for lora in LORA:
        assert_same(gradients(run_lora(lora), routing, tensors), expected, torch.bfloat16)
    routing, tensors = block_case(9, 3, 16, 16, 2, torch.bfloat16, 3)
    expected = gradients(block_by_token, routing, [tensor.double() for tensor in tensors])
    for block in FEED_FORWARD:
        assert_same(gradients(run_block(block), routing, tensors), expected, torch.bfloat16)


def test_all_tokens_to_one_expert_and_none_to_the_others() -> None:
    _, tensors = lora_case(6, 4, 4, 8, 8, 1, torch.float32, 0)
    routing = Routing(torch.full((6, 1), 3), torch.ones(6, 1))
    x, a, b, scale = tensors
    for backend in LORA:
        torch.testing.assert_close(run_lora(backend)(*tensors, routing=routing), scale[2] * (x @ a[2].T @ b[2].T))


def test_the_anchor_alone_is_no_change_and_still_differentiable() -> None:
    _, tensors = lora_case(5, 2, 4, 8, 8, 1, torch.float32, 0)
    routing = Routing(torch.zeros(5, 1, dtype=torch.int64), torch.ones(5, 1))
    for backend in LORA:
        output, *found = gradients(run_lora(backend), routing, tensors)
        assert not output.any()
        assert not any(gradient.any() for gradient in found)


@pytest.mark.parametrize("backend", LORA)
def test_an_unused_lora_expert_cannot_spoil_the_others(backend: LoraBackend) -> None:
    routing, (x, a, b, scale) = lora_case(6, 3, 4, 8, 8, 4, torch.float32, 1)
    routing = Routing(routing.slots_TK, routing.weights_TK.masked_fill(routing.slots_TK == 2, 0))
    without = lora_delta(x, a, b, scale, routing, backend)
    a[1], b[1] = 3e38, -3e38
    torch.testing.assert_close(lora_delta(x, a, b, scale, routing, backend), without)


@pytest.mark.parametrize("backend", FEED_FORWARD)
def test_an_unused_block_cannot_spoil_the_others(backend: FeedForwardBackend) -> None:
    routing, (x, gate, up, down) = block_case(6, 4, 8, 8, 4, torch.float32, 1)
    routing = Routing(routing.slots_TK, routing.weights_TK.masked_fill(routing.slots_TK == 2, 0))
    without = run_block(backend)(x, gate, up, down, routing=routing)
    up[2], down[2] = 3e38, -3e38
    torch.testing.assert_close(run_block(backend)(x, gate, up, down, routing=routing), without)


@pytest.mark.parametrize("backend", FEED_FORWARD)
def test_separate_matrices_train_where_they_should(backend: FeedForwardBackend) -> None:
    routing, (x, *stacked) = block_case(12, 2, 8, 16, 2, torch.float32, 2)
    frozen = [matrices[0] for matrices in stacked]
    trained = [matrices[1].clone().requires_grad_() for matrices in stacked]
    pairs = list(zip(frozen, trained, strict=True))
    output = run_block(backend)(x, *pairs, routing=routing)
    output.sum().backward()
    expected = gradients(lambda *t, routing: run_block("dense")(x, *t, routing=routing), routing, stacked)
    torch.testing.assert_close(output.detach(), expected[0])
    whole = [matrices.clone().requires_grad_() for matrices in stacked]
    run_block("dense")(x, *whole, routing=routing).sum().backward()
    for one, other in zip(trained, whole, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(one.grad, other.grad[1])
    assert all(matrix.grad is None for matrix in frozen)


def test_grouped_takes_the_kernel_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, calls = functional.grouped_mm, []

    def counted(rows: Tensor, matrices: Tensor, *, offs: Tensor) -> Tensor:
        calls.append(rows.dtype)
        return kernel(rows, matrices, offs=offs)

    monkeypatch.setattr(functional, "grouped_mm", counted)
    for dtype, kernels in ((torch.float32, 5), (torch.bfloat16, 5), (torch.float64, 0)):
        calls.clear()
        routing, tensors = lora_case(6, 3, 3, 8, 8, 2, dtype, 0)
        run_lora("grouped")(*tensors, routing=routing)
        routing, tensors = block_case(6, 3, 8, 8, 2, dtype, 0)
        run_block("grouped")(*tensors, routing=routing)
        assert len(calls) == kernels


def test_grouped_under_autocast_follows_autocast() -> None:
    routing, tensors = block_case(6, 3, 8, 8, 2, torch.float32, 0)
    with torch.autocast("cpu", torch.bfloat16):
        assert not can_group(CPU, torch.float32, 8)
        outputs = [run_block(backend)(*tensors, routing=routing) for backend in ("loop", "grouped")]
    assert torch.equal(*outputs)


def test_grouped_gradient_of_a_plain_sum() -> None:
    # The gradient of a sum has strides of zero, which grouped_mm itself refuses.
    routing, tensors = lora_case(8, 3, 8, 8, 8, 2, torch.float32, 0)
    leaves = [tensor.requires_grad_() for tensor in tensors]
    run_lora("grouped")(*leaves, routing=routing).sum().backward()
    assert all(leaf.grad is not None and bool(leaf.grad.any()) for leaf in leaves)


def test_twice_the_same_bits() -> None:
    routing, tensors = lora_case(64, 5, 8, 16, 16, 4, torch.float32, 0)
    for backend in LORA:
        first, second = (gradients(run_lora(backend), routing, tensors) for _ in range(2))
        assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_an_unknown_backend_is_refused() -> None:
    routing, tensors = lora_case(2, 2, 4, 8, 8, 2, torch.float32, 0)
    with pytest.raises(MixtureError, match=r"no LoRA backend 'fast'.*concatenated"):
        lora_delta(*tensors, routing, "fast")  # type: ignore[arg-type, call-arg]
    routing, tensors = block_case(2, 2, 8, 8, 2, torch.float32, 0)
    with pytest.raises(MixtureError, match=r"no feed-forward backend 'fast'.*grouped"):
        feed_forward(*tensors, routing, functional.silu, "fast")  # type: ignore[arg-type, call-arg]


@pytest.mark.parametrize(
    ("dtype", "experts", "tokens", "chosen", "expected"),
    [
        (torch.float32, 4, 2048, 2, "concatenated"),
        (torch.float32, 32, 2048, 2, "grouped"),
        (torch.float64, 32, 2048, 2, "loop"),
        (torch.float32, 32, 1, 2, "concatenated"),
        (torch.float32, 32, 2048, 32, "concatenated"),
    ],
)
def test_lora_backend_is_chosen_by_the_work_it_takes(
    dtype: torch.dtype, experts: int, tokens: int, chosen: int, expected: LoraBackend
) -> None:
    assert choose_lora(device=CPU, dtype=dtype, rank=8, experts=experts, tokens=tokens, chosen=chosen) == expected


@pytest.mark.parametrize(
    ("dtype", "experts", "tokens", "expected"),
    [
        (torch.float32, 2, 2048, "loop"),
        (torch.float32, 64, 2048, "grouped"),
        (torch.float32, 64, 1, "loop"),
        (torch.float64, 64, 2048, "loop"),
    ],
)
def test_feed_forward_backend_is_grouped_for_many_slots(
    dtype: torch.dtype, experts: int, tokens: int, expected: FeedForwardBackend
) -> None:
    assert choose_feed_forward(device=CPU, dtype=dtype, experts=experts, tokens=tokens, chosen=2) == expected
