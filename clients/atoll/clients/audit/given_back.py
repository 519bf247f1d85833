"""Whether a language model continues the beginning of a document as it stands there (FlexOlmo, arXiv 2507.07024)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atoll.errors import DataError
from atoll.privacy.extraction import ExtractionReport, ExtractionSettings, extraction
from atoll.replay import Sampling, Teacher, Vocabulary
from atoll.replay.sampling import sample


def given_back(
    model: Teacher,
    documents: Sequence[NDArray[np.integer[Any]]],
    context: Vocabulary,
    settings: ExtractionSettings,
    seed: int,
) -> ExtractionReport:
    """Try to get documents back from a model.

    Args:
        model: Whoever has been trained on them, or not.
        documents: Token numbers of each, 1-D.
        context: The model's tokens.
        settings: The protocol; a continuation is no longer than the longest document leaves.
        seed: Of all choices.

    Raises:
        DataError: no document is long enough.
    """
    room = max((len(tokens) for tokens in documents), default=0) - settings.prefix
    if room < settings.minimum:
        raise DataError(
            f"extraction: the longest document has {room + settings.prefix} tokens (of a window's length at most), and "
            f"{settings.prefix + settings.minimum} are needed; lower extraction.minimum or .prefix"
        )
    bounded = replace(settings, continuation=min(settings.continuation, room))
    return extraction(documents, _Continue(model, context, bounded, torch.Generator().manual_seed(seed)), bounded, seed)


@dataclass(frozen=True, eq=False, slots=True)
class _Continue:
    """A sampler, as :func:`extraction` asks for it."""

    model: Teacher
    context: Vocabulary
    settings: ExtractionSettings
    generator: torch.Generator

    def __call__(self, prefixes_BP: Tensor, samples: int) -> Tensor:
        settings = self.settings
        sampling = Sampling(temperature=settings.temperature, top_p=settings.top_p)
        new = prefixes_BP.repeat_interleave(samples, 0)
        ended = torch.zeros(len(new), dtype=torch.bool)
        drawn = []
        with self.model.reading() as reader:
            for _ in range(settings.continuation):
                logits = reader.next(new.to(self.model.device)).cpu()[:, : self.context.size]
                # The likeliest first, and the rest only among them: sorting all tokens would cost more than the model.
                top = logits.topk(min(settings.top_k, self.context.size), -1)
                new = top.indices.gather(1, sample(top.values, sampling, self.generator)[:, None])
                ended |= new[:, 0] == self.context.end
                drawn.append(torch.where(ended, -1, new[:, 0]))
                if bool(ended.all()):
                    break
        return torch.stack(drawn, 1).view(len(prefixes_BP), samples, -1)
