"""A router tried out in a moment on random descriptors, before anybody trains for hours towards a mixture with it.

What a router declares is believed where nothing can be tried; what can be tried is: that it makes rows of what
descriptors will hold, that gradients reach its rows, that the rows stay valid while an optimizer moves them towards
any slot, and that they are the same after they were written and read.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from atoll.errors import AtollError, MixtureError
from atoll.mixture.descriptor import ANCHOR_STATES, Descriptor
from atoll.mixture.routing import ANCHOR, Router, RoutingContext, Rows, stack_rows
from atoll.mixture.shared import Shared

_SITE = "dry-run"
_SLOTS = (ANCHOR, "first", "second")
_WIDTH, _VOCABULARY, _SEQUENCES, _POSITIONS = 32, 64, 2, 6
_SLACK = 1e-4
_MOST_STEPS = 64


def try_rows(router: Router, *, shares: bool = True, directions: bool = False) -> Rows:
    """The rows that a router makes of random descriptors.

    Args:
        router: The router.
        shares: Whether descriptors hold token shares.
        directions: Whether they hold directions.

    Raises:
        MixtureError: it makes none.
    """
    told = [_descriptor(place, shares, directions) for place in range(len(_SLOTS))]
    try:
        made = {slot: router.row(_SITE, each, told[0], {}) for slot, each in zip(_SLOTS, told, strict=True)}
    except AtollError:
        raise
    except Exception as error:  # another package's code, which may raise anything
        raise MixtureError(
            f"router {router.name} makes no row of a descriptor with {'' if shares else 'no '}token shares and "
            f"{'' if directions else 'no '}directions ({type(error).__name__}: {error})"
        ) from error
    return {_SITE: made}


def try_fitting(router: Router, *, steps: int, learning_rate: float, shares: bool, directions: bool) -> None:
    """Fit a router's rows for a few steps towards every slot in turn.

    Args:
        router: The router.
        steps: Optimizer steps of the fitting that is to come; at most so many are tried.
        learning_rate: Of it.
        shares: Whether descriptors hold token shares.
        directions: Whether they hold directions.

    Raises:
        MixtureError: it declares no rows that could be fitted, or fitting breaks them.
    """
    if not router.trainable:
        raise MixtureError(
            f"router {router.name} declares no rows that could be fitted (its class says trainable = False): take one "
            "that does, or fit nothing"
        )
    rows = try_rows(router, shares=shares, directions=directions)[_SITE]
    for place in range(len(_SLOTS)):
        try:
            state = _fit(router, stack_rows([rows[slot] for slot in _SLOTS]), place, steps, learning_rate)
            _read_again(router, state)
        except AtollError as error:
            raise MixtureError(f"router {router.name} declares rows that can be fitted, but {error}") from error
        except Exception as error:  # another package's code, which may raise anything
            raise MixtureError(
                f"router {router.name} declares rows that can be fitted, but fitting them fails "
                f"({type(error).__name__}: {error})"
            ) from error


def _fit(router: Router, state: Mapping[str, Tensor], towards: int, steps: int, rate: float) -> dict[str, Tensor]:
    state = {name: value.detach().clone().requires_grad_(value.is_floating_point()) for name, value in state.items()}
    trained = [value for value in state.values() if value.requires_grad]
    if not any(value.numel() for value in trained):
        raise MixtureError("they hold no number")
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.0)
    for step in range(min(steps, _MOST_STEPS)):
        weights_TN = _weights(router, state, step)
        if not weights_TN.requires_grad:
            raise MixtureError("no gradient reaches them: `route` detaches the state, or runs under no_grad")
        (-torch.log(weights_TN[:, towards] + 1e-6)).mean().backward()
        if not all(value.grad is None or bool(torch.isfinite(value.grad).all()) for value in trained):
            raise MixtureError(f"their gradient is not finite at step {step + 1}")
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if not all(bool(torch.isfinite(value).all()) for value in trained):
            raise MixtureError(f"they are not finite after step {step + 1}, so they cannot be kept in a release")
    with torch.no_grad():
        _weights(router, state, steps)
    return {name: value.detach() for name, value in state.items()}


def _weights(router: Router, state: Mapping[str, Tensor], step: int) -> Tensor:
    """Weights [T, N] for random states."""
    random = torch.Generator().manual_seed(step)
    x = torch.randn(_SEQUENCES, _POSITIONS, _WIDTH, generator=random)
    ids = torch.randint(_VOCABULARY, (_SEQUENCES, _POSITIONS), generator=random)
    context = RoutingContext(_SITE, torch.ones(len(_SLOTS), dtype=torch.bool), None, ids)
    weights_TN = router.route(state, x, context).dense(len(_SLOTS))
    sums = weights_TN.detach().sum(-1)
    if not bool(torch.isfinite(weights_TN).all()) or bool((weights_TN < 0).any()) or bool((sums > 1 + _SLACK).any()):
        raise MixtureError(f"after {step} steps its weights are negative, not finite or more than one in all")
    return weights_TN


def _read_again(router: Router, state: Mapping[str, Tensor]) -> None:
    """That the rows route alike once they were written into a release and read from it."""
    rows = {_SITE: {slot: {name: value[at] for name, value in state.items()} for at, slot in enumerate(_SLOTS)}}
    read = Shared.from_bytes(Shared(router=router.name, rows=rows).to_bytes()).rows[_SITE]
    again = stack_rows([read[slot] for slot in _SLOTS])
    again = {name: value.to(state[name].dtype) for name, value in again.items()}
    with torch.no_grad():
        if not torch.allclose(_weights(router, again, 0), _weights(router, state, 0), atol=_SLACK):
            raise MixtureError("they route otherwise once they were written and read")


def _descriptor(place: int, shares: bool, directions: bool) -> Descriptor:
    random = torch.Generator().manual_seed(place)
    return Descriptor(
        embedder=ANCHOR_STATES,
        samples=8,
        tokens=800,
        sites=(_SITE,),
        mean=torch.randn(1, _WIDTH, generator=random),
        variance=torch.rand(1, _WIDTH, generator=random) + 0.5,
        unigram=torch.randn(_VOCABULARY, generator=random).softmax(0) if shares else None,
        directions=0.1 * torch.randn(1, 2, _WIDTH, generator=random) if directions else None,
    )
