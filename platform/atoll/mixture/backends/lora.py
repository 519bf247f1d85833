"""Low-rank changes of many experts on one linear module: ``Σ_e weight_e · scale_e · B_e A_e x``."""

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from atoll.errors import MixtureError
from atoll.mixture.backends.grouping import Groups, can_group, group_by_slot, grouped_linear, put, take, used_weights
from atoll.mixture.routing import Routing

LoraBackend = Literal["loop", "concatenated", "grouped", "dense"]

_RANK_MULTIPLE = 8  # 16 bytes of the narrowest dtype that grouped_mm takes


def lora_delta(
    x_TD: Tensor, a_ERD: Tensor, b_EOR: Tensor, scale_E: Tensor, routing: Routing, backend: LoraBackend
) -> Tensor:
    """What the chosen experts add to a linear module's output, [T, O].

    The weight multiplies between A and B, where a row is narrowest.

    Args:
        x_TD: Tokens.
        a_ERD: Expert e is slot e + 1 of the routing; slot 0, the anchor, changes nothing.
        b_EOR: Lower ranks are padded with zeros, here and in ``a_ERD``.
        scale_E: Each expert's alpha / rank.
        routing: Which experts, with what weight; the weights are cast to the dtype of ``x_TD``.
        backend: ``loop``: one product an expert, over the tokens sorted by expert. ``concatenated``: every expert on
            every token, as two large products. ``grouped``: as ``loop``, but one kernel; ``loop`` itself where
            ``grouped_mm`` does not run (float64, odd widths, old GPUs). ``dense``: the formula as it stands; for tests.

    Raises:
        MixtureError: there is no such backend.
    """
    if backend == "dense":
        return _dense(x_TD, a_ERD, b_EOR, scale_E, routing)
    if backend == "concatenated":
        return _concatenated(x_TD, a_ERD, b_EOR, scale_E, routing)
    if backend not in get_args(LoraBackend):
        raise MixtureError(f"no LoRA backend '{backend}': take one of {', '.join(get_args(LoraBackend))}")
    groups = group_by_slot(routing, 1, a_ERD.shape[0], x_TD.dtype)
    weight_M = groups.weight_M * scale_E.to(x_TD.dtype)[groups.slot_M]
    rows_MD = take(x_TD, groups)
    same_dtype = x_TD.dtype == a_ERD.dtype == b_EOR.dtype
    runs_grouped = same_dtype and can_group(x_TD.device, x_TD.dtype, a_ERD.shape[2], b_EOR.shape[1])
    run = _grouped if backend == "grouped" and runs_grouped else _loop
    return put(run(rows_MD, a_ERD, b_EOR, weight_M, groups), groups)


def _loop(rows_MD: Tensor, a_ERD: Tensor, b_EOR: Tensor, weight_M: Tensor, groups: Groups) -> Tensor:
    # unbind once: the gradient of indexing a stacked parameter is a tensor of its full size for every expert.
    counts: list[int] = groups.counts_N.tolist()
    parts = zip(rows_MD.split(counts), weight_M.split(counts), a_ERD.unbind(0), b_EOR.unbind(0), strict=True)
    outputs = [((rows @ a.T) * weight.unsqueeze(1)) @ b.T for rows, weight, a, b in parts if len(rows)]
    # Nothing chosen at all: no rows, but still a function of the parameters.
    return torch.cat(outputs) if outputs else rows_MD @ a_ERD.sum(0).T @ b_EOR.sum(0).T


def _grouped(rows_MD: Tensor, a_ERD: Tensor, b_EOR: Tensor, weight_M: Tensor, groups: Groups) -> Tensor:
    missing = -a_ERD.shape[1] % _RANK_MULTIPLE
    if missing:
        a_ERD, b_EOR = functional.pad(a_ERD, (0, 0, 0, missing)), functional.pad(b_EOR, (0, missing))
    hidden_MR = grouped_linear(rows_MD, a_ERD, groups) * weight_M.unsqueeze(1)
    return grouped_linear(hidden_MR, b_EOR, groups)


def _concatenated(x_TD: Tensor, a_ERD: Tensor, b_EOR: Tensor, scale_E: Tensor, routing: Routing) -> Tensor:
    experts, rank, _ = a_ERD.shape
    weight_TE1 = used_weights(routing, experts + 1, x_TD.dtype)[:, 1:].unsqueeze(2)
    hidden_TER = (x_TD @ a_ERD.flatten(0, 1).T).view(-1, experts, rank)
    # Zero times infinity is not zero, hence the mask.
    hidden_TER = hidden_TER.masked_fill(weight_TE1 == 0, 0) * (weight_TE1 * scale_E.to(x_TD.dtype).unsqueeze(1))
    return hidden_TER.flatten(1) @ b_EOR.transpose(1, 2).flatten(0, 1)


def _dense(x_TD: Tensor, a_ERD: Tensor, b_EOR: Tensor, scale_E: Tensor, routing: Routing) -> Tensor:
    weight_TE = used_weights(routing, a_ERD.shape[0] + 1, x_TD.dtype)[:, 1:]
    delta_TEO = torch.einsum("eor,erd,td->teo", b_EOR, a_ERD, x_TD) * scale_E.to(x_TD.dtype).unsqueeze(1)
    weight_TE1 = weight_TE.unsqueeze(2)
    return (delta_TEO.masked_fill(weight_TE1 == 0, 0) * weight_TE1).sum(1)
