"""The frozen layers below the first expert, computed once and kept on disk.

Experts in the last layers of an anchor leave everything below them as it is, for every model that is trained or
evaluated. So the states that enter the first layer with an expert are a function of the text alone.
"""

import copy
import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from atoll.workloads.workload import Batch

_DIGEST = 32


def tail(model: nn.Module, first: int) -> nn.Module:
    """The causal language model from layer ``first`` upwards, sharing every module; it takes ``inputs_embeds``.

    The embedding is still there, but unused. ``first`` = 0 gives the model itself.
    """
    if first == 0:
        return model
    shell = _shell(model)
    inner = _shell(model.model)  # type: ignore[arg-type]
    inner.layers = nn.ModuleList(list(model.model.layers)[first:])  # type: ignore[union-attr, arg-type]
    shell.model = inner
    return shell


def _shell(module: nn.Module) -> nn.Module:
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin


class Prefix:
    """States [S, D] that enter layer ``first``, for windows of one split; computed when first asked for.

    The file holds a record for each window: a digest of its tokens and states, then the states. What was never written,
    torn by a kill, damaged, or computed from other text does not fit its digest, and is computed anew.
    """

    def __init__(self, anchor: nn.Module, first: int, file: Path) -> None:
        """Open or make the cache.

        Args:
            anchor: The unchanged anchor; kept only for what is not cached yet.
            first: First layer with an expert.
            file: The cache; one for each anchor, first layer and split.
        """
        self._below = _shell(anchor.model)  # type: ignore[arg-type]
        self._below.layers = nn.ModuleList(list(anchor.model.layers)[:first])  # type: ignore[union-attr, arg-type]
        self._below.norm = nn.Identity()
        self._width = int(anchor.config.hidden_size)  # type: ignore[union-attr, arg-type]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        self._file = file

    def below(self, batch: Batch, indices: Sequence[int]) -> Batch:
        """The batch with the states in place of the token ids."""
        states = [self.states(index, ids) for index, ids in zip(indices, batch.targets["ids"], strict=True)]
        return replace(batch, inputs={"inputs_embeds": torch.stack(states)})

    def states(self, index: int, ids_S: Tensor) -> Tensor:
        """States [S, D], float32 on the CPU, of the window ``index``, whose tokens are ``ids_S``."""
        shape = (len(ids_S), self._width)
        length = _DIGEST + 4 * math.prod(shape)
        # Read and written, not mapped: on a full disk that is an error, and not the end of the process.
        with self._file.open("r+b") as handle:
            handle.seek(index * length)
            record = handle.read(length)
            if len(record) < length or record[:_DIGEST] != _digest(ids_S, record[_DIGEST:]):
                states = self._compute(ids_S).numpy().tobytes()
                record = _digest(ids_S, states) + states
                handle.seek(index * length)
                handle.write(record)
        return torch.frombuffer(bytearray(record), dtype=torch.float32, offset=_DIGEST).reshape(shape)

    @torch.no_grad()
    def _compute(self, ids_S: Tensor) -> Tensor:
        device = next(self._below.parameters()).device
        hidden: Tensor = self._below(input_ids=ids_S[None].to(device), use_cache=False).last_hidden_state
        return hidden[0].float().cpu()


def _digest(ids_S: Tensor, states: bytes) -> bytes:
    return hashlib.blake2b(ids_S.numpy().tobytes() + states, digest_size=_DIGEST).digest()
