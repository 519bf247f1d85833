"""From what a run found to what people read."""

from collections.abc import Mapping, Sequence

from atoll.coordinator.app import Findings
from atoll.coordinator.config import RunConfig
from atoll.coordinator.release import Release
from atoll.coordinator.results import ReleaseResult, RunResults, SiloResult, Transfer, Withdrawal
from atoll.coordinator.variants import ANCHOR, MIXTURE, NEVER_HAD, without
from atoll.federation.embedded import Traffic

_WHAT = {
    ("query", "out"): "announcement",
    ("train", "out"): "expert package",
    ("evaluate", "out"): "metrics",
    ("query", "in"): "question",
    ("train", "in"): "work unit",
    ("evaluate", "in"): "mixture",
}


def summarize(
    config: RunConfig,
    command: str,
    found: Findings,
    traffic: Sequence[Traffic],
    answers: tuple[str, str],
    peak_bytes: int,
    versions: Mapping[str, str],
) -> RunResults:
    """Collect a run's findings.

    Args:
        config: The run.
        command: What the user typed.
        found: The coordinator's findings.
        traffic: What crossed the engine.
        answers: To the prompt, before and after the withdrawal.
        peak_bytes: Of memory.
        versions: Of what the figures depend on.
    """
    assert found.release is not None
    losses = {owner: dict(reply.loss) for owner, reply in sorted(found.evaluated.items())}
    some = next(iter(found.silos.values()))
    return RunResults(
        title=config.title,
        command=command,
        seed=config.seed,
        anchor_name=config.anchor,
        anchor_digest=found.release.anchor,
        anchor_parameters=some.parameters,
        silos=[_silo(silo.name, silo.domain, found) for silo in config.silos],
        losses=losses,
        routing={owner: dict(reply.shares.get(MIXTURE, {})) for owner, reply in sorted(found.evaluated.items())},
        transfers=[
            Transfer(silo=t.silo, direction=t.direction, what=_WHAT.get((t.message_type, t.direction), t.message_type), bytes=t.bytes)
            for t in traffic
        ],
        seconds=dict(found.seconds),
        peak_memory_bytes=peak_bytes,
        release=_release(found.release),
        withdrawal=_withdrawal(config, found, losses, answers),
        versions=dict(versions),
    )


def _silo(name: str, domain: str, found: Findings) -> SiloResult:
    said = found.silos.get(name)
    failure = found.failures.get(name, "")
    return SiloResult(
        name=name,
        domain=domain,
        documents=dict(said.documents) if said else {},
        tokens=dict(said.tokens) if said else {},
        characters=dict(said.characters) if said else {},
        status="failed" if failure else "ok",
        failure=failure,
    )


def _release(release: Release) -> ReleaseResult:
    return ReleaseResult(
        number=release.number,
        digest=release.digest,
        integrator=release.integrator.name,
        router=release.router.name,
        kind=release.kind,
        guarantee=release.guarantee,
        members={member.owner: member.digest for member in release.members},
    )


def _withdrawal(
    config: RunConfig, found: Findings, losses: Mapping[str, Mapping[str, float]], answers: tuple[str, str]
) -> Withdrawal | None:
    owner = config.withdraw
    if found.reduced is None or owner not in losses:
        return None
    own = losses[owner]
    others = [abs(loss[without(owner)] - loss[MIXTURE]) for silo, loss in losses.items() if silo != owner]
    return Withdrawal(
        owner=owner,
        release=_release(found.reduced),
        loss_with=own[MIXTURE],
        loss_without=own[without(owner)],
        loss_never_had=own[NEVER_HAD],
        loss_anchor=own[ANCHOR],
        largest_change_elsewhere=max(others, default=0.0),
        prompt=config.prompt,
        answer_before=answers[0],
        answer_after=answers[1],
    )
