"""Replay ``autoregressive``: the frozen earlier mixture goes on writing from first tokens that documents begin with.

The language model as its own generator is LAMOL's idea (Sun, Ho and Lee 2020, arXiv 1909.03329), which begins with a
token of the task; here the beginning is drawn from what an owner tells of its documents' beginnings and lengths.

Shapes: B samples, S positions, V tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from atoll.errors import ConfigError, DataError
from atoll.replay import Disclosure, Prior, Replay, Sample, Sampling, Teacher, Vocabulary
from atoll.replay.disclosure import counted_once, disclosed
from atoll.replay.replay import check_draw
from atoll.replay.sampling import draw, draw_alike, streams

_FIRST, _LENGTH = "first_token", "length"
_CHOICES = 3
"""Numbers that a sample's stream gives before its tokens: first token, bucket of length, length in it."""


@final
@dataclass(frozen=True, slots=True)
class Autoregressive(Replay):
    """First token and length from shares of documents, the rest from the teacher.

    A sample begins with the end-of-text token that stands before a document, as in training, and ends with one where
    the teacher ends the document before the length that was drawn. Without a prior the teacher draws the first token
    too, and all lengths are alike likely. With a cache of keys and values, where the teacher has one, a batch costs
    as many forward passes of one token as its longest sample has tokens.

    Attributes:
        sampling: How the next token is drawn.
        length_step: Tokens of a bucket of lengths.
    """

    name: ClassVar[str] = "autoregressive"
    workloads: ClassVar[tuple[str, ...]] = ("text",)
    sampling: Sampling = field(default_factory=Sampling)
    length_step: int = 16

    def __post_init__(self) -> None:
        if self.length_step < 1:
            raise ConfigError(f"replay autoregressive: length_step is {self.length_step}; it must be at least 1")

    def remember(self, private: Sequence[ArrayLike], context: Vocabulary, disclosure: Disclosure) -> Prior:
        """Shares of first tokens [V] and of lengths [buckets] over documents, each counted once in each.

        Two tables of the same documents: each takes half of an epsilon.
        """
        documents = [tokens for tokens in self.private_tokens(private) if len(tokens)]
        if not documents:
            raise DataError("replay autoregressive: there is no document with a token to remember")
        lengths = np.array([min(len(tokens), self._room(context)) for tokens in documents])
        step = self.length_step
        cells: dict[str, tuple[ArrayLike, int, str]] = {
            _FIRST: ([int(tokens[0]) for tokens in documents], context.size, "that begin with each token"),
            _LENGTH: ((lengths - 1) // step, self._buckets(context), f"by length in steps of {step} tokens"),
        }
        rng = disclosure.generator()
        made = {
            name: disclosed(
                counted_once(range(len(documents)), cell, count),
                disclosure,
                rng,
                what=f"share of the documents {what}",
                unit="document",
                fraction=1 / len(cells),
            )
            for name, (cell, count, what) in cells.items()
        }
        return Prior(
            generator=self.name,
            settings={"length_step": step},
            tensors={name: shares for name, (shares, _) in made.items()},
            declared={name: declared for name, (_, declared) in made.items()},
        )

    def generate(
        self,
        teacher: Teacher,
        prior: Prior | None,
        context: Vocabulary,
        *,
        budget: int,
        seed: int,
        templates: Any = None,
        batch: int = 64,
    ) -> list[Sample]:
        """Samples of ``input_ids``, int32 [S]."""
        check_draw(self.name, budget, batch)
        if templates is not None:
            raise ConfigError("replay autoregressive: text is aligned to nothing; leave the templates out")
        choices = streams(seed, range(budget), _CHOICES)
        lengths = self._lengths(prior, context, choices[:, 1:])
        first = None if prior is None else draw_alike(prior.tensors[_FIRST].double(), choices[:, 0])
        found: dict[int, Tensor] = {}
        # Samples of like lengths together, so that few are waited for.
        order = torch.argsort(lengths, stable=True, descending=True)
        for rows in order.split(batch):
            begun = torch.full((len(rows), 1), context.end)
            if first is not None:
                begun = torch.cat([begun, first[rows, None]], 1)
            whole = self._continue(
                teacher, begun, lengths[rows], context, streams(seed, rows.tolist(), context.longest + _CHOICES)
            )
            found |= {int(row): _cut(ids, int(lengths[row]), context.end) for row, ids in zip(rows, whole, strict=True)}
        return [{"input_ids": found[index].to(torch.int32)} for index in range(budget)]

    def tokens(self, sample: Sample) -> NDArray[np.int64]:
        """The ids without the leading end."""
        return sample["input_ids"][1:].numpy().astype(np.int64)

    def private_tokens(self, private: Sequence[ArrayLike]) -> list[NDArray[np.int64]]:
        """The documents' ids."""
        return [np.asarray(tokens, dtype=np.int64) for tokens in private]

    def batch(self, samples: Sequence[Sample], context: Vocabulary) -> tuple[dict[str, Tensor], Tensor]:
        """``input_ids`` int64 [B, S], filled up with ends on the right."""
        ids = torch.nn.utils.rnn.pad_sequence(
            [sample["input_ids"].long() for sample in samples], batch_first=True, padding_value=context.end
        )
        lengths = torch.tensor([len(sample["input_ids"]) for sample in samples])
        return {"input_ids": ids}, torch.arange(ids.shape[1]) < lengths[:, None]

    def _room(self, context: Vocabulary) -> int:
        """Tokens of a document that fit into a sample, behind the end that stands first."""
        return context.longest - 1

    def _buckets(self, context: Vocabulary) -> int:
        return -(-self._room(context) // self.length_step)

    def _lengths(self, prior: Prior | None, context: Vocabulary, choices_B2: Tensor) -> Tensor:
        """Tokens of each sample, with the end that stands first, int64 [B]."""
        if prior is None:
            return 2 + (choices_B2[:, 0] * self._room(context)).long()
        # As many buckets as its owner's windows need; a sample is never longer than there is room for here.
        buckets = prior.tensors[_LENGTH].numel() if _LENGTH in prior.tensors else 0
        prior.expect(self.name, {"length_step": self.length_step}, {_FIRST: (context.size,), _LENGTH: (buckets,)})
        bucket = draw_alike(prior.tensors[_LENGTH].double(), choices_B2[:, 0])
        room = self._room(context)
        low = (bucket * self.length_step).clamp_max(room - 1)
        width = (room - low).clamp_max(self.length_step)
        # The last bucket holds all that is longer too: those are as long as there is room.
        inside = torch.where(bucket == buckets - 1, width - 1, (choices_B2[:, 1] * width).long())
        return 2 + low + inside

    def _continue(
        self, teacher: Teacher, begun: Tensor, lengths_B: Tensor, context: Vocabulary, uniform_BS: Tensor
    ) -> Tensor:
        """Whole sequences [B, S], to be cut at the lengths."""
        ids, longest = begun, int(lengths_B.max())
        ended = torch.zeros(len(ids), dtype=torch.bool)
        with teacher.reading() as reader:
            new = ids
            while ids.shape[1] < longest:
                logits = reader.next(new.to(teacher.device)).cpu()[:, : context.size]
                if logits.shape[1] < context.size:
                    raise ConfigError(
                        f"replay autoregressive: the teacher scores {logits.shape[1]} tokens and the vocabulary has "
                        f"{context.size}: they belong to different anchors"
                    )
                new = draw(self.sampling.probabilities(logits), uniform_BS[:, _CHOICES + ids.shape[1] - 1])[:, None]
                ids = torch.cat([ids, new], 1)
                ended |= (new[:, 0] == context.end) | (ids.shape[1] >= lengths_B)
                if bool(ended.all()):
                    break
        return ids


def _cut(ids: Tensor, length: int, end: int) -> Tensor:
    """Up to its length, or through the end of the document."""
    ids = ids[:length]
    ends = (ids[1:] == end).nonzero()
    return ids[: int(ends[0]) + 2].clone() if len(ends) else ids.clone()
