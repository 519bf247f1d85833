"""Gated feed-forward blocks of many slots: ``Σ_n weight_n · down_n (act(gate_n x) * up_n x)``."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from atoll.errors import MixtureError
from atoll.mixture.backends.grouping import Groups, can_group, group_by_slot, grouped_linear, put, take, used_weights
from atoll.mixture.routing import Routing

FeedForwardBackend = Literal["loop", "grouped", "dense"]
Activation = Callable[[Tensor], Tensor]
Matrices = Tensor | Sequence[Tensor]
"""One matrix a slot: stacked, or separate tensors, such as a frozen anchor's beside a parameter in training."""


def feed_forward(
    x_TD: Tensor,
    gate_NHD: Matrices,
    up_NHD: Matrices,
    down_NDH: Matrices,
    routing: Routing,
    activation: Activation,
    backend: FeedForwardBackend,
) -> Tensor:
    """Weighted sum of the outputs of the chosen slots' blocks, [T, D]; slot 0 holds the anchor's matrices.

    The weight multiplies the output.

    Args:
        x_TD: Tokens.
        gate_NHD: Stacked, or one matrix a slot. For ``grouped`` stacked is better: separate ones are copied together.
        up_NHD: Likewise.
        down_NDH: Likewise.
        routing: Which slots, with what weight; the weights are cast to the dtype of ``x_TD``.
        activation: Elementwise, on the output of the gate.
        backend: ``loop``: one block a slot, over the tokens sorted by slot. ``grouped``: the same in one kernel a
            matrix; ``loop`` itself where ``grouped_mm`` does not run (float64, odd widths, old GPUs). ``dense``: every
            slot on every token; for tests.

    Raises:
        MixtureError: there is no such backend.
    """
    if backend not in get_args(FeedForwardBackend):
        raise MixtureError(
            f"no feed-forward backend '{backend}': take one of {', '.join(get_args(FeedForwardBackend))}"
        )
    slots = len(gate_NHD)
    if backend == "dense":
        weight_TN = used_weights(routing, slots, x_TD.dtype)
        return _dense(x_TD, _stacked(gate_NHD), _stacked(up_NHD), _stacked(down_NDH), weight_TN, activation)
    groups = group_by_slot(routing, 0, slots, x_TD.dtype)
    rows_MD = take(x_TD, groups)
    if backend == "grouped" and _runs_grouped(x_TD, gate_NHD[0]):
        rows_MD = _grouped(rows_MD, _stacked(gate_NHD), _stacked(up_NHD), _stacked(down_NDH), groups, activation)
    else:
        rows_MD = _loop(rows_MD, _separate(gate_NHD), _separate(up_NHD), _separate(down_NDH), groups, activation)
    return put(rows_MD * groups.weight_M.unsqueeze(1), groups)


def _stacked(matrices: Matrices) -> Tensor:
    return matrices if isinstance(matrices, Tensor) else torch.stack(list(matrices))


def _separate(matrices: Matrices) -> Sequence[Tensor]:
    # unbind once: the gradient of indexing a stacked parameter is a tensor of its full size for every slot.
    return matrices.unbind(0) if isinstance(matrices, Tensor) else matrices


def _runs_grouped(x_TD: Tensor, gate_HD: Tensor) -> bool:
    return x_TD.dtype == gate_HD.dtype and can_group(x_TD.device, x_TD.dtype, *gate_HD.shape)


def _loop(
    rows_MD: Tensor,
    gates: Sequence[Tensor],
    ups: Sequence[Tensor],
    downs: Sequence[Tensor],
    groups: Groups,
    activation: Activation,
) -> Tensor:
    slots = zip(rows_MD.split(groups.counts_N.tolist()), gates, ups, downs, strict=True)
    outputs = [_block(rows, gate, up, down, activation) for rows, gate, up, down in slots if len(rows)]
    # Nothing chosen at all: no rows, but still a function of the parameters.
    return torch.cat(outputs) if outputs else _block(rows_MD, gates[-1], ups[-1], downs[-1], activation)


def _block(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, activation: Activation) -> Tensor:
    hidden = activation(functional.linear(x, gate)) * functional.linear(x, up)
    return functional.linear(hidden, down)


def _grouped(
    rows_MD: Tensor, gate_NHD: Tensor, up_NHD: Tensor, down_NDH: Tensor, groups: Groups, activation: Activation
) -> Tensor:
    hidden_MH = activation(grouped_linear(rows_MD, gate_NHD, groups)) * grouped_linear(rows_MD, up_NHD, groups)
    return grouped_linear(hidden_MH, down_NDH, groups)


def _dense(
    x_TD: Tensor, gate_NHD: Tensor, up_NHD: Tensor, down_NDH: Tensor, weight_TN: Tensor, activation: Activation
) -> Tensor:
    hidden_NTH = activation(x_TD @ gate_NHD.transpose(1, 2)) * (x_TD @ up_NHD.transpose(1, 2))
    y_NTD = hidden_NTH @ down_NDH.transpose(1, 2)
    weight_NT1 = weight_TN.T.unsqueeze(2)
    return (y_NTD.masked_fill(weight_NT1 == 0, 0) * weight_NT1).sum(0)
