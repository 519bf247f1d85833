"""What a run needs of its plug-ins, held against what they declare and try out, before anybody trains."""

from collections.abc import Collection

from atoll.coordinator.stream.config import RefitConfig
from atoll.errors import ConfigError, MixtureError
from atoll.experts.integrator import Integrator
from atoll.experts.training import ExpertConfig
from atoll.federation.units import Choice
from atoll.mixture import ExpertKind, Router
from atoll.mixture.dry_run import try_fitting, try_rows
from atoll.plugins import build, load
from atoll.workloads.workload import workload_class


def check_router(choice: Choice, workloads: Collection[str] = ()) -> Router:
    """The router, which serves a model that predicts what comes next, of such data where it is known.

    Raises:
        ConfigError: it declares otherwise.
        PluginError: there is none of that name.
    """
    router: Router = build("atoll.routers", choice.name, choice.options)
    if not router.causal:
        raise ConfigError(
            f"router {router.name} declares that later positions change the choice at earlier ones (causal = False): "
            "losses of a model that predicts what comes next would be told the answer; take another router"
        )
    blind = [name for name in sorted(workloads) if router.reads_tokens and not workload_class(name).reads_tokens]
    if blind:
        raise ConfigError(
            f"router {router.name} reads token ids, and an anchor for {blind[0]} reads none: take another, such as "
            "domain or top-k"
        )
    return router


def check_rows(router: Router, *, shares: bool, directions: bool) -> None:
    """That a router makes rows of descriptors that hold so much.

    Raises:
        ConfigError: it makes none.
    """
    try:
        try_rows(router, shares=shares, directions=directions)
    except MixtureError as error:
        raise ConfigError(f"router and descriptor do not fit each other: {error}") from error


def check_fitting(router: Choice, integrator: Choice, refit: RefitConfig, *, shares: bool, directions: bool) -> None:
    """That a router can be fitted in the integrator's mixture.

    Raises:
        ConfigError: one of them declares otherwise, or the router's rows do not bear it.
    """
    if not refit.steps:
        return
    if not load("atoll.integrators", integrator.name).trainable:
        raise ConfigError(
            f"refit.steps is {refit.steps}, but integrator {integrator.name} declares no mixture in which a router "
            "could be fitted (trainable = False): take integrator.name=flexolmo, or refit.steps=0"
        )
    try:
        try_fitting(
            build("atoll.routers", router.name, router.options),
            steps=refit.steps,
            learning_rate=refit.learning_rate,
            shares=shares,
            directions=directions,
        )
    except MixtureError as error:
        raise ConfigError(f"refit.steps is {refit.steps}, but {error}; refit.steps=0 fits nothing") from error


def check_beside(integrator: Choice, stages: int) -> None:
    """That experts of later stages can be trained beside earlier ones.

    Raises:
        ConfigError: the integrator declares otherwise.
    """
    made: Integrator = build("atoll.integrators", integrator.name, integrator.options)
    if stages > 1 and not made.trainable:
        raise ConfigError(
            f"stream.stages are {stages}, and experts of later ones are trained beside earlier ones in a mixture of "
            f"outputs; integrator {made.name} declares that it makes another (trainable = False): take "
            "integrator.name=flexolmo, or let all arrive in one stage"
        )


def check_expert(expert: ExpertConfig, training_router: Choice, *, shares: bool, directions: bool) -> None:
    """That nodes train such experts, and beside the router that is named where they train beside one.

    Raises:
        ConfigError: they do not.
        PluginError: there is no such kind or router.
    """
    kind: type[ExpertKind] = load("atoll.experts", expert.kind)
    if not kind.trainable:
        raise ConfigError(
            f"expert.kind is '{expert.kind}', and nodes train no experts of that kind (it declares trainable = False): "
            "take ffn or lora; packages that come from elsewhere go into `atoll mixture build`"
        )
    router = check_router(training_router)
    if expert.kind != "ffn" or not expert.coordinated:
        return
    (rows,) = try_rows(router, shares=shares, directions=directions).values()
    if any(set(row) != {"row", "bias"} for row in rows.values()):
        raise ConfigError(
            f"expert.coordinated: router {router.name} has no row that training could move; coordinated experts train "
            "beside top-k (training_router.name=top-k), others take expert.coordinated=false"
        )
    try:
        try_fitting(router, steps=8, learning_rate=1e-3, shares=shares, directions=directions)
    except MixtureError as error:
        raise ConfigError(f"expert.coordinated: {error}") from error
