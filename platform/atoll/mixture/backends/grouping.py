"""Tokens sorted by the slot that they go to, so that each slot's work is one matrix product."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from atoll.mixture.routing import Routing

_GROUPED_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_ALIGNMENT_BYTES = 16
_FIRST_CUDA_CAPABILITY = (8, 0)


@dataclass(frozen=True, eq=False, slots=True)
class Groups:
    """The choices in use, sorted by slot; in a slot, by token.

    Attributes:
        place_M: int64, place of each in the flattened [T, K] routing; no place twice.
        token_M: int64, its token.
        slot_M: int64, its slot, counted from the first one asked for.
        weight_M: its weight, in the tokens' dtype.
        counts_N: int64, how many each slot has.
        shape: T and K.
    """

    place_M: Tensor
    token_M: Tensor
    slot_M: Tensor
    weight_M: Tensor
    counts_N: Tensor
    shape: tuple[int, int]


def group_by_slot(routing: Routing, first: int, slots: int, dtype: torch.dtype) -> Groups:
    """Sort the choices of ``slots`` slots from ``first`` on; the others and those with weight zero are left out."""
    tokens, chosen = routing.slots_TK.shape
    slot = routing.slots_TK.reshape(-1) - first
    weight = routing.weights_TK.reshape(-1)
    place_M = ((weight != 0) & (slot >= 0)).nonzero().squeeze(1)
    slot_M, order = torch.sort(slot[place_M], stable=True)
    place_M = place_M[order]
    return Groups(
        place_M=place_M,
        token_M=place_M.div(max(chosen, 1), rounding_mode="floor"),
        slot_M=slot_M,
        weight_M=weight[place_M].to(dtype),
        counts_N=torch.bincount(slot_M, minlength=slots),
        shape=(tokens, chosen),
    )


def take(x_TD: Tensor, groups: Groups) -> Tensor:
    """The token of each choice, [M, D]."""
    # Rows of a table: the same as indexing, but the gradient of a token chosen several times is summed in a fixed order
    # on a GPU too, where the gradients of indexing and of index_select are summed as they come.
    return functional.embedding(groups.token_M, x_TD)


def put(rows_MO: Tensor, groups: Groups) -> Tensor:
    """Sum each token's choices, [T, O], in the order of K."""
    tokens, chosen = groups.shape
    width = rows_MO.shape[-1]
    # Every choice has a place of its own and the sum runs over K, so it is deterministic, unlike index_add on a GPU.
    places = rows_MO.new_zeros(tokens * chosen, width).index_copy(0, groups.place_M, rows_MO)
    return places.view(tokens, chosen, width).sum(1)


def used_weights(routing: Routing, slots: int, dtype: torch.dtype) -> Tensor:
    """Weights as [T, N], in ``dtype``; for backends that run every slot on every token."""
    # The mask stops the gradient of a choice with weight zero that names the same slot as a choice in use.
    weights_TK = routing.weights_TK.masked_fill(routing.weights_TK == 0, 0)
    return Routing(routing.slots_TK, weights_TK).dense(slots).to(dtype)


def can_group(device: torch.device, dtype: torch.dtype, *widths: int) -> bool:
    """Whether ``grouped_mm`` (torch 2.13) runs here: dtype, rows of a multiple of 16 bytes, no autocast, a kernel.

    Measured on CPU and taken from the documentation for CUDA; elsewhere the answer is no.
    """
    if dtype not in _GROUPED_DTYPES or any(width * dtype.itemsize % _ALIGNMENT_BYTES for width in widths):
        return False
    # grouped_mm knows nothing of autocast and would meet two dtypes.
    if torch.is_autocast_enabled(device.type):
        return False
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= _FIRST_CUDA_CAPABILITY
    return device.type == "cpu"


def grouped_linear(rows_MI: Tensor, weight_NOI: Tensor, groups: Groups) -> Tensor:
    """Each row through its slot's matrix, [M, O]; what :func:`can_group` says yes to.

    The gradient that comes in must be laid out in memory; after :func:`put` or a product it always is.
    """
    ends = groups.counts_N.cumsum(0).to(torch.int32)
    return functional.grouped_mm(rows_MI, weight_NOI.transpose(1, 2), offs=ends)
