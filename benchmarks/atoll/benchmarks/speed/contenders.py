"""Who is compared with whom: each method with Atoll's mixture of the same mathematics, checked to be the same."""

from dataclasses import dataclass

import torch
from torch import Tensor

from atoll.benchmarks.speed.atoll_models import atoll_runner, dense_runner, mixture_of
from atoll.benchmarks.speed.case import Case
from atoll.benchmarks.speed.methods import ARROW, ATOLL, DENSE, METHODS, MIXED, MOE_METHODS, X_LORA, peers
from atoll.benchmarks.speed.moe_models import transformers_runner
from atoll.benchmarks.speed.peft_models import arrow, mixed_batch, x_lora
from atoll.benchmarks.speed.runner import Runner, check_same
from atoll.errors import ConfigError
from atoll.mixture import Router
from atoll.mixture.routing import Rows


@dataclass(frozen=True, eq=False, slots=True)
class Pair:
    """A method, and Atoll's mixture that it is compared with."""

    theirs: Runner
    ours: Runner


def atoll_alone(case: Case, ids_BS: Tensor) -> Runner:
    """The mixture under router ``top-k``."""
    return atoll_runner(case, mixture_of(case, case.model(), ids_BS))


def alone(case: Case, method: str, ids_BS: Tensor) -> Runner:
    """A method by itself.

    Raises:
        ConfigError: it cannot do what the case asks.
    """
    if method == ATOLL:
        return atoll_alone(case, ids_BS)
    if method == DENSE:
        return dense_runner(case)
    _require(case, method)
    if method in MOE_METHODS:
        return transformers_runner(case, method, ids_BS)
    if method == X_LORA:
        return x_lora(case)[0]
    return mixed_batch(case)[0] if method == MIXED else arrow(case)[0]


def pair(case: Case, method: str, atoll: Runner, ids_BS: Tensor) -> Pair:
    """A method beside Atoll, on the same weights and tokens.

    X-LoRA is checked under its own routing, and then timed against router ``top-k``, because working out where tokens
    go is part of both.

    Args:
        case: What is done.
        method: A peer.
        atoll: What :func:`atoll_alone` made; the partner of methods that route likewise.
        ids_BS: Tokens.

    Raises:
        ConfigError: the method cannot do what the case asks.
        MixtureError: the two do not compute the same.
    """
    _require(case, method)
    if method in MOE_METHODS:
        return _same(transformers_runner(case, method, ids_BS), atoll, ids_BS)
    if method == MIXED:
        theirs, given = mixed_batch(case)
        return _same(theirs, _under(case, given, None, method, ids_BS), ids_BS)
    if method == ARROW:
        theirs, rule, rows = arrow(case)
        return _same(theirs, _under(case, rule, rows, method, ids_BS), ids_BS)
    theirs, routing = x_lora(case)
    with torch.no_grad():
        theirs.forward(ids_BS)
    _same(theirs, _under(case, routing.router(), None, method, ids_BS), ids_BS)
    return Pair(theirs, atoll)


def _under(case: Case, router: Router, rows: Rows | None, method: str, ids_BS: Tensor) -> Runner:
    mixture = mixture_of(case, case.model(), ids_BS, router, rows)
    return atoll_runner(case, mixture, f"{ATOLL}, routed as {method}")


def _same(theirs: Runner, ours: Runner, ids_BS: Tensor) -> Pair:
    check_same(ours, theirs, ids_BS)
    return Pair(theirs, ours)


def _require(case: Case, method: str) -> None:
    if method not in METHODS:
        raise ConfigError(f"mixture-speed has no method '{method}': there are {', '.join(METHODS)}")
    if method not in peers(case):
        raise ConfigError(
            f"mixture-speed: {method} cannot do '{case.action}' with {case.kind} experts; {', '.join(peers(case))} can"
        )
