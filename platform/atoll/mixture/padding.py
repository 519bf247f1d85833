"""Which positions of a batch are text: read from whatever way of padding the anchor's own model accepts."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from atoll.errors import MixtureError

_PACKING = ("cu_seq_lens_q", "cu_seq_lens_k", "cu_seqlens", "seq_idx")
"""Arguments by which transformers' models are told of several texts in one row."""


def input_mask(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor | None:
    """bool [B, S], False at padding; ``None`` where everything is text.

    The models of Atoll take ``mask``; those of transformers ``attention_mask`` of what was read so far, of which the
    last S columns are this batch's.

    Args:
        args: Positional arguments of the model's forward pass: token ids and an attention mask.
        kwargs: The others.

    Raises:
        MixtureError: several texts in one row, or a mask that says more than what is padding: a router would read the
            one text as the beginning of the other.
    """
    if packed := [name for name in _PACKING if kwargs.get(name) is not None]:
        raise MixtureError(f"a mixture does not read packed rows (it was given {packed[0]}): pad texts instead")
    mask = kwargs.get("mask")
    if mask is not None:
        return mask  # type: ignore[no-any-return]
    mask = kwargs.get("attention_mask", args[1] if len(args) > 1 else None)
    read = kwargs.get("input_ids", args[0] if args else None)
    read = kwargs.get("inputs_embeds") if read is None else read
    positions = kwargs.get("position_ids")
    found = None
    if mask is not None:
        if not isinstance(mask, Tensor) or mask.ndim != 2:
            raise MixtureError("a mixture reads attention masks [texts, positions], 0 at padding, and no others")
        found = mask[:, -int(read.shape[1]) :].bool() if isinstance(read, Tensor) else mask.bool()
    if isinstance(positions, Tensor) and positions.ndim == 2 and positions.shape[1] > 1:
        _check_one_text(positions, found)
    return found


def _check_one_text(positions_BS: Tensor, mask_BS: Tensor | None) -> None:
    """Raise MixtureError where positions begin anew within a row."""
    back = positions_BS[:, 1:] <= positions_BS[:, :-1]
    if mask_BS is not None and mask_BS.shape == positions_BS.shape:
        back = back & mask_BS[:, 1:] & mask_BS[:, :-1]
    if bool(torch.any(back)):
        raise MixtureError(
            "a mixture does not read packed rows (position_ids begin anew within one): pad texts instead"
        )
