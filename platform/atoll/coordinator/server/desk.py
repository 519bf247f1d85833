"""Turns calls into work units, and what has come of them into releases. All of it can be cut off and done again."""

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from atoll.coordinator.server.calls import (
    AUDIT,
    EVALUATE,
    RELEASE,
    TRAIN,
    AuditCall,
    ReleaseCall,
    TrainCall,
)
from atoll.coordinator.server.choosing import Chosen, choose_members, current_experts
from atoll.coordinator.server.history_guard import WAY_ON, set_aside_stray
from atoll.coordinator.server.latest import Latest, with_fitted_router
from atoll.coordinator.server.measuring import compose, compose_audit
from atoll.coordinator.server.own_releases import issuer, own_release, renew_latest
from atoll.coordinator.server.shop import Shop
from atoll.coordinator.server.unpublished import UnpublishedReleases
from atoll.errors import AtollError, FederationError, LedgerError
from atoll.ledger import CallFinished, Fact, Released, State, UnitIssued
from atoll.ledger.state import Call
from atoll.mixture.shared import Shared
from atoll.releases.erased import restore_members
from atoll.releases.folder import expert_file, numbered, read_shared, release_folder
from atoll.releases.release import Release, make_release

log = logging.getLogger(__name__)
_RENEW = 3600.0
"""Seconds between looks at whether the latest release's signature must be renewed."""


class Desk:
    """Looks at the ledger, and does what is due."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._told = ""
        self._unpublished = UnpublishedReleases(shop.folder.releases)
        self._renew_at = 0.0

    def turn(self) -> None:
        """One look."""
        state = self._shop.ledger.state()
        self._unpublished.settle(state)
        self._renew(state)
        for call in [each for each in state.calls.values() if each.finished is None]:
            try:
                facts = self._due(state, call)
                if facts:
                    self._write(facts)
            except (AtollError, OSError) as error:
                log.error("call %s (%s): %s", call.called.call[:12], call.called.work, error)
                self._shop.live.failed("", call.called.work, str(error))
                if isinstance(error, AtollError):
                    self._shop.ledger.record(_finished(call, failure=str(error)))

    def _write(self, facts: list[Fact]) -> None:
        """Write facts down; a release among them is published when the ledger has it, and not before.

        Where a withdrawal came between, the ledger refuses the release: what was made of it goes, and it is made anew.
        """
        try:
            self._shop.ledger.record_all(facts)
        except LedgerError:
            released = [fact for fact in facts if isinstance(fact, Released)]
            self._unpublished.drop()
            state = self._shop.ledger.state()
            if any(not _permitted(state, fact) for fact in released):
                self._tell("an owner withdrew while it was made; it is made anew without that expert")
                return
            raise
        self._unpublished.settle(self._shop.ledger.state())

    def _renew(self, state: State) -> None:
        """Sign the latest release anew in time; looked at once an hour."""
        now = time.monotonic()
        if now < self._renew_at:
            return
        self._renew_at = now + _RENEW
        try:
            renew_latest(self._shop.folder, self._shop.config, self._shop.key, state)
        except (AtollError, OSError) as error:
            log.error("the latest release is not signed anew: %s", error)
            self._shop.live.failed("", "signing the latest release", str(error))

    def _due(self, state: State, call: Call) -> list[Fact]:
        if call.called.work == TRAIN:
            return self._train(state, call)
        if call.called.work == EVALUATE:
            return self._evaluate(state, call)
        if call.called.work == AUDIT:
            return self._audit(state, call)
        if call.called.work == RELEASE:
            return self._release(state, call)
        return [_finished(call, failure=f"there is no work '{call.called.work}'")]

    def _train(self, state: State, call: Call) -> list[Fact]:
        if not call.called.owners and call is not latest_training(state):
            return [_finished(call, result="another training was called")]
        unit = self._shop.keep_unit(TrainCall.from_json(call.called.what).unit)
        return _issued(state, call, unit) or _all_done(state, call)

    def _evaluate(self, state: State, call: Call) -> list[Fact]:
        if call.units:
            return _all_done(state, call)
        made = compose(self._shop, state)
        if made is None:
            return [_finished(call, failure="there is no expert to evaluate; call for training first")]
        return _issued(state, call, self._shop.keep_unit(made)) or [_finished(call, failure="there is no owner to ask")]

    def _audit(self, state: State, call: Call) -> list[Fact]:
        if call.units:
            return _all_done(state, call)
        release = Latest.of(self._shop.folder, self._shop.config, self._shop.anchor, state).release
        if release is None:
            return [_finished(call, failure="there is no release to audit; call for one first")]
        last = max(state.releases)
        if release.digest != state.releases[last].released.digest:
            why = f"release {last} holds an expert that its owner permits no more; call for the next release first"
            return [_finished(call, failure=why)]
        if others := sorted(set(call.called.owners) - set(release.owners)):
            return [_finished(call, failure=f"{', '.join(others)} has no expert in release {release.number}")]
        unit = self._shop.keep_unit(compose_audit(self._shop, release, AuditCall.from_json(call.called.what)))
        # To a node it is an evaluation like any other.
        asked = _issued(state, call, unit, among=release.owners, work=EVALUATE)
        return asked or [_finished(call, failure="there is no owner to ask")]

    def _release(self, state: State, call: Call) -> list[Fact]:
        self._expect_whole(state)
        if state.awaited:
            self._tell(f"the ledger was restored, and {', '.join(sorted(state.awaited))} must be heard first")
            return []
        wanted = ReleaseCall.from_json(call.called.what)
        if wanted.like:
            return self._release_again(state, call, wanted.like)
        waited = datetime.now(UTC) >= datetime.fromisoformat(wanted.deadline)
        if not waited and self._arrived(state) < wanted.at_least:
            return []
        chosen = choose_members(self._shop, state, without=wanted.without, flagged=wanted.flagged)
        members = chosen.members
        missing = [f"{owner} is {why}" for owner, why in chosen.left.items() if why.startswith("not at hand")]
        if missing and not waited:
            self._tell("; ".join(missing))  # damaged, and removed: it is being fetched again
            return []
        left = "; ".join(f"{owner}: {why}" for owner, why in sorted(chosen.left.items()))
        if not members:
            why = left or "none has arrived, or none is permitted"
            return [_finished(call, failure=f"no expert may be released: {why}")]
        try:
            files = {member.owner: self._shop.packages.get(member.blob) for member in members}
        except FederationError as error:  # damaged, and removed: it is being fetched again
            self._tell(str(error))
            return []
        made, shared = self._made(state, chosen)
        fact, said = self._write_release(state, made, shared, files)
        return [fact, _finished(call, result=f"{said}; left out: {left}" if left else said)]

    def _release_again(self, state: State, call: Call, number: int) -> list[Fact]:
        """The content of an earlier release, under the next number: who refuses older releases follows."""
        folder = self._shop.folder
        before = own_release(folder, state, number)
        made = replace(before, number=max(state.releases) + 1)
        packages = release_folder(folder.releases, number)
        files = {member.owner: expert_file(packages, member.owner) for member in made.members}
        fact, said = self._write_release(state, made, read_shared(before, packages), files)
        return [fact, _finished(call, result=f"{said}; it holds what release {number} held")]

    def _write_release(
        self, state: State, made: Release, shared: Shared | None, files: Mapping[str, Path]
    ) -> tuple[Released, str]:
        """Write and sign a release where all members permit a use of their experts; the fact, and a line on it.

        Raises:
            LedgerError: a member permits none.
        """
        digests = [member.digest for member in made.members]
        fact = Released(number=made.number, digest=made.digest, guarantee=made.guarantee, members=digests)
        state.is_news(fact, datetime.now(UTC))
        self._unpublished.write(made, files, shared, issuer(self._shop.config, self._shop.key, state))
        restore_members(made, files, release_folder(self._shop.folder.releases, made.number))
        log.info("release %d: %s, %s", made.number, ", ".join(made.owners), made.digest)
        return fact, f"release {made.number} of {', '.join(made.owners)}: {made.digest}"

    def _made(self, state: State, chosen: Chosen) -> tuple[Release, Shared | None]:
        """The next release, with its fitted router where it has one."""
        shop, config = self._shop, self._shop.config
        first = max(state.releases, default=0)
        plain = make_release(max(first, 1), shop.anchor, chosen.kind, config.integrator, config.router, chosen.members)
        plain = numbered(plain, shop.folder.releases)
        latest = Latest.of(shop.folder, config, shop.anchor, state)
        if state.releases and not _permitted(state, state.releases[max(state.releases)].released):
            latest = replace(latest, release=None)  # what an owner took back teaches nothing any more
        cards = {member.owner: shop.expert(state, member.digest).card for member in chosen.members}
        beside = [owner for owner, card in cards.items() if card.training.get("beside")]
        made = with_fitted_router(plain, latest, shop.anchor, shop.packages, beside)
        made = numbered(made, shop.folder.releases)
        return made, Shared.from_bytes(shop.packages.get(made.shared).read_bytes()) if made.shared else None

    def _tell(self, what: str) -> None:
        """Once, however often it happens."""
        if what != self._told:
            self._told = what
            log.warning("a release waits: %s", what)

    def _arrived(self, state: State) -> int:
        """Experts of the latest training that are here."""
        training = latest_training(state)
        if training is None:
            return len(current_experts(state, self._shop.anchor.digest))
        finished = (state.done.get((owner, unit)) for owner, unit in training.units.items())
        return sum(1 for fact in finished if fact is not None and not fact.failure)

    def _expect_whole(self, state: State) -> None:
        """Raise LedgerError where there are releases that the ledger does not know: it is older than they are.

        They are renamed, and nothing of them is lost; no release is made until the operator has restored the ledger.
        """
        folder = self._shop.folder
        set_aside_stray(folder, state)
        unknown = {path.name for path in folder.releases.glob("set-aside-*")} - state.set_aside
        if unknown:
            raise LedgerError(
                f"the ledger does not know of releases that there are ({', '.join(sorted(unknown))} in "
                f"{folder.releases}): it is older than they are; {WAY_ON}"
            )


def _permitted(state: State, released: Released) -> bool:
    """Whether every member of a release may be used for something now."""
    now = datetime.now(UTC)
    members = [state.experts.get(digest) for digest in released.members]
    return all(member is not None and member.consents.now.permits_something(now) for member in members)


def latest_training(state: State) -> Call | None:
    """The last training that everyone was called for."""
    calls = [each for each in state.calls.values() if each.called.work == TRAIN and not each.called.owners]
    return calls[-1] if calls else None


def _issued(state: State, call: Call, unit: str, *, among: Collection[str] | None = None, work: str = "") -> list[Fact]:
    """The unit for everyone who is meant and was not asked.

    Args:
        state: Of the ledger.
        call: Says who is meant: some, or everyone who has a node.
        unit: Its address.
        among: Whom everyone is limited to.
        work: What kind of work it is to a node, where that is not the call's.
    """
    nodes = [name for name, owner in state.owners.items() if owner.admitted.node_key]
    owners = call.called.owners or [name for name in nodes if among is None or name in among]
    training = call.called.work == TRAIN  # nothing would be taken from who has withdrawn; asked when it permits anew
    return [
        UnitIssued(owner=owner, unit=unit, work=work or call.called.work, call=call.called.call)
        for owner in owners
        if owner not in call.units
        and not state.owners[owner].revoked
        and not (training and state.owners[owner].voice.out)
    ]


def _all_done(state: State, call: Call) -> list[Fact]:
    """That the call is finished, when everyone it was for has finished; one for everyone has no such end."""
    if call.called.work == TRAIN and not call.called.owners:
        return []
    done = {owner: state.done.get((owner, unit)) for owner, unit in call.units.items()}
    left = [owner for owner, fact in done.items() if fact is None and not state.owners[owner].revoked]
    if left or not done:
        return []
    failed = [owner for owner, fact in done.items() if fact is None or fact.failure]
    return [_finished(call, result=f"{len(done) - len(failed)} of {len(done)} owners")]


def _finished(call: Call, *, result: str = "", failure: str = "") -> CallFinished:
    return CallFinished(call=call.called.call, result=result, failure=failure)
