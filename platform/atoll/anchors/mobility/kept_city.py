"""What frozen encoders say of a city's locations, computed once: in a mixture nothing but experts is trained."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_CITIES = 8
"""Cities that are kept; in replay several take turns."""


class KeptCity:
    """The output of one module for tables of locations. A copy of a model begins with an empty one."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, tuple[Tensor, Tensor]] = OrderedDict()

    def of(self, module: nn.Module, locations: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """What ``compute`` gives for these locations; anew each time while the module is trained."""
        parameters = list(module.parameters())
        if any(parameter.requires_grad for parameter in parameters):
            return compute(locations)
        # Weights that were changed in place have another version. The table is held, so that no other takes its place
        # in memory.
        changes = sum(parameter._version for parameter in parameters)
        key = (locations.data_ptr(), tuple(locations.shape), locations._version, changes, parameters[0].dtype)
        if key not in self._kept:
            with torch.no_grad():
                self._kept[key] = locations, compute(locations)
            if len(self._kept) > _CITIES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key][1]

    def __deepcopy__(self, memo: dict[int, Any]) -> "KeptCity":
        return KeptCity()
