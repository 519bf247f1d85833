"""From what a run found to what people read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from atoll.coordinator.app import Findings
from atoll.coordinator.config import RunConfig
from atoll.coordinator.results import (
    MIXTURE,
    NEVER_HAD,
    AnchorResult,
    Member,
    ReleaseResult,
    RunResults,
    SiloResult,
    Transfer,
    WithdrawalResult,
)
from atoll.coordinator.variants import without
from atoll.federation.embedded import Traffic
from atoll.plugins import load
from atoll.releases.release import Release
from atoll.workloads.data import GROUP

WHAT = {
    ("query", "out"): "announcement",
    ("train", "out"): "expert package",
    ("evaluate", "out"): "metrics",
    ("query.consent", "out"): "statement on consent",
    ("evaluate.exit", "out"): "exit scorecard",
    ("query", "in"): "question",
    ("train", "in"): "work unit",
    ("evaluate", "in"): "mixture",
    ("query.consent", "in"): "question for consent",
    ("evaluate.exit", "in"): "exit scorecard",
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
    evaluated = sorted(found.evaluated.items())
    losses = {owner: dict(reply.loss) for owner, reply in evaluated}
    some = next(iter(found.silos.values()))
    return RunResults(
        run=Path(config.output).name,
        title=config.title,
        anchor=AnchorResult(name=config.anchor, digest=found.release.anchor, parameters=some.parameters),
        silos=[_silo(silo.name, silo.domain, found) for silo in config.silos],
        losses=losses,
        release=_release(found.release),
        seeds=[config.seed],
        routing={owner: dict(reply.shares.get(MIXTURE, {})) for owner, reply in evaluated},
        transfers=[_transfer(item) for item in traffic],
        times=dict(found.seconds),
        peak_memory_bytes=peak_bytes,
        withdrawal=_withdrawal(config, found, losses, answers),
        command=command,
        versions=dict(versions),
        unit=_unit(config),
    )


def _unit(config: RunConfig) -> str:
    """What all silos' losses are given per, or ``unit`` where they differ."""
    units = {load(GROUP, silo.data.workload).unit for silo in config.silos}
    return units.pop() if len(units) == 1 else "unit"


def _transfer(item: Traffic) -> Transfer:
    what = WHAT.get((item.message_type, item.direction), item.message_type)
    return Transfer(silo=item.silo, direction=item.direction, what=what, bytes=item.bytes)


def _silo(name: str, domain: str, found: Findings) -> SiloResult:
    said = found.silos.get(name)
    failure = found.failures.get(name, "")
    return SiloResult(
        name=name,
        domain=domain,
        documents=sum(said.documents.values()) if said else 0,
        tokens=sum(said.tokens.values()) if said else 0,
        characters=sum(said.characters.values()) if said else 0,
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
        members=[Member(owner=member.owner, digest=member.digest) for member in release.members],
    )


def _withdrawal(
    config: RunConfig, found: Findings, losses: Mapping[str, Mapping[str, float]], answers: tuple[str, str]
) -> WithdrawalResult | None:
    owner = config.withdraw
    if found.reduced is None or owner not in losses:
        return None
    own = losses[owner]
    others = [abs(loss[without(owner)] - loss[MIXTURE]) for silo, loss in losses.items() if silo != owner]
    return WithdrawalResult(
        owner=owner,
        release_number=found.reduced.number,
        release_digest=found.reduced.digest,
        loss_before=own[MIXTURE],
        loss_after=own[without(owner)],
        loss_never_had=own[NEVER_HAD],
        max_change_elsewhere=max(others, default=0.0),
        prompt=config.prompt,
        answer_before=answers[0],
        answer_after=answers[1],
        unlearning=dict(found.unlearning),
    )
