"""Random experts over an anchor, and a router whose rows send its tokens to all of them alike."""

import torch
from torch import Tensor, nn

from atoll.benchmarks.speed.case import KINDS, Case, layers_of
from atoll.mixture import ANCHOR, ExpertKind, Member
from atoll.mixture.descriptor import ANCHOR_STATES, Descriptor
from atoll.mixture.routing import Rows
from atoll.plugins import load


def expert_kind(case: Case) -> ExpertKind:
    """The kind of the case."""
    made: ExpertKind = load("atoll.experts", case.kind)()
    return made


def targets_of(case: Case, model: nn.Module) -> tuple[str, ...]:
    """The modules of the anchor that experts change."""
    return tuple(f"model.layers.{layer}.{end}" for layer in range(layers_of(model)) for end in KINDS[case.kind])


def random_members(case: Case, model: nn.Module) -> list[Member]:
    """The experts. Their weights are as large as the anchor's: what tells them apart must show in the logits."""
    kind, targets = expert_kind(case), targets_of(case, model)
    settings = {"rank": case.rank, "alpha": 2.0 * case.rank} if case.kind == "lora" else {}
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    expected = kind.expected_shapes(shapes, targets, settings)
    generator = case.generator("experts")
    about = blank_descriptor(tuple(site.path for site in kind.sites(targets)), model)
    return [
        Member(
            owner=owner,
            targets=targets,
            settings=settings,
            weights={name: _random(shape, generator) for name, shape in expected.items()},
            descriptor=about,
        )
        for owner in owners(case)
    ]


def owners(case: Case) -> tuple[str, ...]:
    """Names of the experts."""
    return tuple(f"owner-{place:04d}" for place in range(case.experts))


def blank_descriptor(sites: tuple[str, ...], model: nn.Module) -> Descriptor:
    """One that says nothing: the rows of the router are given."""
    width: int = model.config.hidden_size  # type: ignore[union-attr,assignment]
    nothing = torch.zeros(len(sites), width)
    return Descriptor(
        embedder=ANCHOR_STATES, samples=1, tokens=1, sites=sites, mean=nothing, variance=torch.ones_like(nothing)
    )


def spread_rows(case: Case, model: nn.Module, ids_BS: Tensor) -> Rows:
    """Rows of router ``top-k`` that use every slot alike: random directions in which the anchor's states differ.

    A random row would see the large part that all states have in common and send every token the same way; so that part
    is taken out, by a projection, since FlexOlmo and Mixtral know no bias.
    """
    sites = tuple(site.path for site in expert_kind(case).sites(targets_of(case, model)))
    generator = case.generator("rows")
    slots = (ANCHOR, *owners(case))
    bias = torch.zeros(())
    return {
        site: {
            slot: {"row": row, "bias": bias}
            for slot, row in zip(slots, _directions(states_TD, len(slots), generator), strict=True)
        }
        for site, states_TD in site_inputs(model, sites, ids_BS).items()
    }


def site_inputs(model: nn.Module, sites: tuple[str, ...], ids_BS: Tensor) -> dict[str, Tensor]:
    """What enters each site, [T, D], when the anchor alone reads the tokens."""
    found: dict[str, Tensor] = {}

    def keep(site: str, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        found[site] = (args[0] if args else kwargs["hidden_states"]).flatten(0, 1).float()

    handles = [
        model.get_submodule(site).register_forward_pre_hook(
            lambda module, args, kwargs, site=site: keep(site, args, kwargs),
            with_kwargs=True,
        )
        for site in sites
    ]
    with torch.no_grad():
        model(input_ids=ids_BS, use_cache=False)
    for handle in handles:
        handle.remove()
    return found


def _directions(states_TD: Tensor, slots: int, generator: torch.Generator) -> Tensor:
    mean = states_TD.mean(0)
    mixed_NT = torch.randn(slots, len(states_TD), generator=generator).to(states_TD)
    rows_ND: Tensor = mixed_NT @ (states_TD - mean)
    unit = mean / mean.norm().clamp_min(1e-12)
    rows_ND = rows_ND - (rows_ND @ unit)[:, None] * unit
    spread_N: Tensor = (states_TD @ rows_ND.T).std(0)
    return rows_ND / spread_N[:, None].clamp_min(1e-12)


def _random(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator) / (shape[-1] ** 0.5 if shape else 1.0)
