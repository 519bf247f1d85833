"""The frozen earlier model that replay is drawn from and that is distilled."""

import inspect
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from atoll.errors import ConfigError
from atoll.mixture import Mixture


@final
@dataclass(frozen=True, eq=False, slots=True)
class Teacher:
    """A model, and whose experts may answer in it. It is read without gradients and never changed.

    Attributes:
        model: A mixture, or any module whose output has ``logits`` [B, S, V].
        entitlement: Owners, for a mixture; ``None`` for everyone in it.

    Raises:
        ConfigError: the model is in training mode, so that what it says would be random.
    """

    model: nn.Module
    entitlement: Collection[str] | None = None

    def __post_init__(self) -> None:
        if self.model.training:
            raise ConfigError("replay: the teacher is in training mode; call its eval() first")

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        first = next(self.model.parameters(), None)
        return torch.device("cpu") if first is None else first.device

    @torch.no_grad()
    def logits(self, **inputs: Any) -> Tensor:
        """Scores at every position, [B, S, V]."""
        with self._entitled(remember=False):
            found: Tensor = self.model(**inputs).logits
        return found

    @torch.no_grad()
    def last(self, **inputs: Any) -> Tensor:
        """Scores at the last position alone, [B, V].

        A model whose ``forward`` names ``logits_to_keep``, as transformers' do, is asked for that position only.
        """
        if "logits_to_keep" in inspect.signature(_inner(self.model).forward).parameters and not self._ensemble:
            inputs["logits_to_keep"] = 1
        return self.logits(**inputs)[:, -1]

    @contextmanager
    def reading(self) -> Iterator["Reader"]:
        """Read one batch of token sequences in pieces."""
        with self._entitled(remember=self._cached):
            yield Reader(self)

    @property
    def _ensemble(self) -> bool:
        """Whether every model in it needs the whole text at once."""
        return isinstance(self.model, Mixture) and self.model.composition == "outputs"

    @property
    def _cached(self) -> bool:
        """Whether it keeps keys and values: transformers' generating models do."""
        return hasattr(_inner(self.model), "generate") and not self._ensemble

    @contextmanager
    def _entitled(self, *, remember: bool) -> Iterator[None]:
        if not isinstance(self.model, Mixture):
            yield
            return
        with self.model.use(self.entitlement, remember=remember):
            yield


@final
class Reader:
    """Sequences of one length that grow together, within :meth:`Teacher.reading`.

    Where the model has a cache, each position is read once; else every step reads all from the beginning.
    """

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher
        self._ids: Tensor | None = None
        self._cache: Any = None

    @torch.no_grad()
    def next(self, ids_BS: Tensor) -> Tensor:
        """Scores after reading these further tokens, [B, V]."""
        self._ids = ids_BS if self._ids is None else torch.cat([self._ids, ids_BS], 1)
        if not self._teacher._cached:
            return self._teacher.last(input_ids=self._ids)
        output = self._teacher.model(
            input_ids=ids_BS,
            attention_mask=torch.ones_like(self._ids),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache = output.past_key_values
        found: Tensor = output.logits[:, -1]
        return found


def _inner(model: nn.Module) -> nn.Module:
    return model.model if isinstance(model, Mixture) else model
