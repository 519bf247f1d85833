"""The frozen layers below the first expert, computed once and kept on disk.

Experts in the last layers of an anchor leave everything below them as it is, for every model that is trained or evaluated. So
the states that enter the first layer with an expert are a function of the text alone.
"""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn


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
    """States [S, D] that enter layer ``first``, for windows of one split; computed when first asked for."""

    def __init__(self, anchor: nn.Module, first: int, folder: Path, windows: int, length: int) -> None:
        """Open or make the cache.

        Args:
            anchor: The unchanged anchor; kept only for what is not cached yet.
            first: First layer with an expert.
            folder: Where the cache lies; its name must tell anchor, text and layer apart.
            windows: Number of windows in the split.
            length: Tokens in a window.
        """
        self._below = _shell(anchor.model)  # type: ignore[arg-type]
        self._below.layers = nn.ModuleList(list(anchor.model.layers)[:first])  # type: ignore[union-attr, arg-type]
        self._below.norm = nn.Identity()
        self._width = int(anchor.config.hidden_size)  # type: ignore[union-attr, arg-type]
        folder.mkdir(parents=True, exist_ok=True)
        states, done = folder / "states.f32", folder / "done.u8"
        if not done.exists() or done.stat().st_size != windows:
            # The flags come last: states without flags are computed again, flags without states would be read as zeros.
            states.unlink(missing_ok=True)
            np.memmap(states, np.float32, "w+", shape=(windows, length, self._width)).flush()
            np.memmap(done, np.uint8, "w+", shape=(windows,)).flush()
        self._states = np.memmap(states, np.float32, "r+", shape=(windows, length, self._width))
        self._done = np.memmap(done, np.uint8, "r+", shape=(windows,))

    def states(self, index: int, ids: Callable[[int], Tensor]) -> Tensor:
        """States [S, D] of one window, whose tokens ``ids(index)`` gives."""
        if not self._done[index]:
            with torch.no_grad():
                device = next(self._below.parameters()).device
                hidden = self._below(input_ids=ids(index)[None].to(device), use_cache=False).last_hidden_state[0]
            self._states[index] = hidden.float().cpu().numpy()
            self._states.flush()
            self._done[index] = 1
        return torch.from_numpy(np.array(self._states[index]))
