"""The contract of stems: what turns a sample into one vector."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.nn import functional

from atoll.errors import AnchorError


class Stem(nn.Module, ABC):
    """A frozen feature map: a sample to a vector of length sqrt(D), whatever the sample is.

    The common length bounds what one sample adds to a sum of vectors, which differential privacy of such sums rests on.

    Attributes:
        reads: Name of the model's input that it reads.
    """

    reads: ClassVar[str]

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """Samples [B, ...] to vectors [B, D] of any length.

        Raises:
            DataError: samples of another shape than the stem reads.
        """

    def forward(self, x: Tensor) -> Tensor:
        """Samples [B, ...] to vectors [B, D] of mean zero and length sqrt(D)."""
        embedded: Tensor = self.embed(x)
        return functional.layer_norm(embedded, embedded.shape[-1:])


@runtime_checkable
class StemForm(Protocol):
    """The form of a stem, a frozen dataclass: the fields below ``stem`` of config.json, but for ``input``.

    Attributes:
        input: What it reads; also the name of the workload that gives it.
    """

    input: ClassVar[str]

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "StemForm":
        """From config.json.

        Raises:
            AnchorError: what cannot be.
        """
        ...

    def build(self, width: int) -> Stem:
        """The stem with random weights, for vectors of this width."""
        ...


def whole_numbers(what: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a form that are whole numbers of at least 1, or lists of such.

    Raises:
        AnchorError: something else.
    """
    found: dict[str, Any] = {}
    for name, value in given.items():
        values = value if isinstance(value, list | tuple) else [value]
        if not values or any(type(one) is not int or one < 1 for one in values):
            raise AnchorError(f"{what}: {name} is {value!r:.80}; it must be made of whole numbers of at least 1")
        found[name] = tuple(values) if isinstance(value, list | tuple) else value
    return found
