"""Who is compared with whom: each method with Atoll's mixture of the same mathematics, checked to be the same."""

from dataclasses import dataclass

import torch
from torch import Tensor

from atoll.benchmarks.speed.atoll_models import ATOLL, DENSE, atoll_runner, dense_runner, mixture_of
from atoll.benchmarks.speed.case import Case
from atoll.benchmarks.speed.moe_models import MOE_METHODS, transformers_runner
from atoll.benchmarks.speed.peft_models import ARROW, MIXED, PEFT_METHODS, X_LORA, arrow, mixed_batch, x_lora
from atoll.benchmarks.speed.runner import Runner, check_same
from atoll.errors import ConfigError
from atoll.mixture import Router
from atoll.mixture.routing import Rows

METHODS = {
    ATOLL: "the mixture, under router top-k",
    DENSE: "the anchor without experts: the limit",
    **{name: f"FlexOlmo or Mixtral with experts by {name.partition('-')[2]}; ffn only" for name in MOE_METHODS},
    MIXED: "PEFT, one adapter a sample in one batch (adapter_names); lora only",
    X_LORA: "PEFT, X-LoRA: two passes, all adapters on every token; lora only",
    ARROW: "PEFT, Arrow: all adapters on every token, the best few kept; lora only",
}
"""What can be timed."""


@dataclass(frozen=True, eq=False, slots=True)
class Pair:
    """A method, and Atoll's mixture that it is compared with."""

    theirs: Runner
    ours: Runner


def peers(case: Case) -> list[str]:
    """The methods that can do what the case asks, besides Atoll and the anchor."""
    if case.kind == "ffn":
        return list(MOE_METHODS)
    # X-LoRA freezes adapters by itself; adapters by name and Arrow have no router that could be trained.
    return {"inference": [*PEFT_METHODS], "expert": [MIXED, ARROW], "router": [X_LORA]}[case.action]


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
    return {MIXED: mixed_batch, X_LORA: x_lora, ARROW: arrow}[method](case)[0]  # type: ignore[operator,no-any-return]


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
