"""What routing alone costs as the number of experts grows: one site, one router at a time, no experts run."""

from collections.abc import Callable

import torch
from torch import Tensor

from atoll.mixture import Descriptor, Router, RoutingContext
from atoll.mixture.descriptor import ANCHOR_STATES
from atoll.mixture.routing import stack_rows
from atoll.plugins import build

_SITE = "site"


def routing_step(
    router: str, experts: int, *, tokens: int = 512, width: int = 128, vocabulary: int = 1024, seed: int = 0
) -> Callable[[], Tensor]:
    """What routes all tokens once, with everyone allowed; gives the weights [T, K].

    Args:
        router: A registered one that reads text.
        experts: How many, beside the anchor.
        tokens: In samples of 64, or all in one where they are fewer.
        width: Of the states.
        vocabulary: Token ids, for a router that counts them.
        seed: Of descriptors, states and tokens.
    """
    made: Router = build("atoll.routers", router, {})
    generator = torch.Generator().manual_seed(seed)
    frame = _descriptor(width, vocabulary, generator)
    others = [_descriptor(width, vocabulary, generator) for _ in range(experts)]
    state = stack_rows([made.row(_SITE, each, frame, {}) for each in (frame, *others)])
    length = min(64, tokens)
    x_BSD = torch.randn(tokens // length, length, width, generator=generator)
    text_BS = torch.randint(0, vocabulary, x_BSD.shape[:2], generator=generator)
    context = RoutingContext(_SITE, torch.ones(experts + 1, dtype=torch.bool), text_BS=text_BS)

    def route() -> Tensor:
        with torch.no_grad():
            return made.route(state, x_BSD, context).weights_TK

    return route


def _descriptor(width: int, vocabulary: int, generator: torch.Generator) -> Descriptor:
    return Descriptor(
        embedder=ANCHOR_STATES,
        samples=8,
        tokens=800,
        sites=(_SITE,),
        mean=torch.randn(1, width, generator=generator),
        variance=torch.rand(1, width, generator=generator) + 0.5,
        unigram=torch.randn(vocabulary, generator=generator).softmax(0),
    )
