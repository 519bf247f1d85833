"""Atoll's mixture of a case, and the dense anchor, as runners."""

from collections.abc import Sequence

from torch import Tensor, nn

from atoll.benchmarks.speed.case import KINDS, Case, layers_of
from atoll.benchmarks.speed.fixed_routers import Given
from atoll.benchmarks.speed.methods import ATOLL, DENSE
from atoll.benchmarks.speed.random_experts import (
    blank_descriptor,
    expert_kind,
    owners,
    random_members,
    spread_rows,
    targets_of,
)
from atoll.benchmarks.speed.runner import Runner
from atoll.mixture import Mixture, Router
from atoll.mixture.adapt import Adapter
from atoll.mixture.routing import Rows
from atoll.plugins import build


def mixture_of(
    case: Case, model: nn.Module, ids_BS: Tensor, router: Router | None = None, rows: Rows | None = None
) -> Mixture:
    """The mixture.

    Args:
        case: Says of what.
        model: The case's anchor.
        ids_BS: Tokens that the router's rows are spread over.
        router: ``top-k`` where none is given.
        rows: Its state, where it is not the one that :func:`spread_rows` makes for ``top-k``.
    """
    kind = expert_kind(case)
    about = blank_descriptor(tuple(site.path for site in kind.sites(targets_of(case, model))), model)
    if router is None:
        router = build("atoll.routers", "top-k", {"k": case.chosen})
        rows = spread_rows(case, model, ids_BS)
    return Mixture(model, about, kind, random_members(case, model), router, rows=rows)


def atoll_runner(case: Case, mixture: Mixture, name: str = ATOLL) -> Runner:
    """The mixture, open for what the case trains, with everyone entitled."""
    trained: Sequence[Tensor] = ()
    if case.action == "expert":
        trained = [*Adapter(mixture, experts=owners(case)[:1]).parameters.values()]
    elif case.action == "router" and not isinstance(mixture.router, Given):
        trained = [*Adapter(mixture, rows=mixture.slots).parameters.values()]

    def forward(ids_BS: Tensor) -> Tensor:
        with mixture.use():
            logits: Tensor = mixture(input_ids=ids_BS, use_cache=False).logits
        return logits

    return Runner(name, forward, trained)


def dense_runner(case: Case) -> Runner:
    """The anchor without experts; in training, its own modules where experts would be."""
    model = case.model()
    trained: list[Tensor] = []
    if case.action != "inference":
        paths = [f"model.layers.{layer}.{end}" for layer in range(layers_of(model)) for end in KINDS[case.kind]]
        modules = [model.get_submodule(path).requires_grad_() for path in paths]
        trained = [parameter for module in modules for parameter in module.parameters()]
    return plain_runner(DENSE, model, trained)


def plain_runner(name: str, model: nn.Module, trained: Sequence[Tensor]) -> Runner:
    """A causal LM of transformers as it is."""

    def forward(ids_BS: Tensor) -> Tensor:
        logits: Tensor = model(input_ids=ids_BS, use_cache=False).logits
        return logits

    return Runner(name, forward, trained)
