"""What the coordinator does after a withdrawal with the copies that it holds itself: erase, and sign that it has."""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from atoll.anchors.digest import file_sha256
from atoll.coordinator.erasure.exports import erase_written
from atoll.coordinator.erasure.inventory import (
    BACKUP,
    EXPORT,
    PACKAGE,
    RELEASE,
    TRACKED,
    Copy,
    copies_of,
    left_of,
    withdrawn_since,
)
from atoll.coordinator.erasure.tracking_stores import erase_tracked
from atoll.errors import AtollError
from atoll.experts.erasure import COORDINATOR, ErasureStatement
from atoll.experts.signing import Signer
from atoll.federation.blobs import BlobStore
from atoll.federation.sealed_blobs import ExpertKeys
from atoll.ledger import Ledger, State
from atoll.ledger.copies import CopyErased, CopyRemains
from atoll.releases.erased import erase_member
from atoll.releases.folder import expert_file, release_folder

log = logging.getLogger(__name__)
_AGAIN = 60.0
"""Seconds until what could not be erased is tried again, and until leftovers of a crash count as such."""
_LEFTOVER = 3600.0


@dataclass(frozen=True, slots=True)
class Holdings:
    """Where a coordinator, or a run, keeps experts.

    Attributes:
        root: Its folder.
        packages: Its store of packages.
        releases: The parent of its releases' folders.
        key: Signs what it says.
    """

    root: Path
    packages: BlobStore
    releases: Path
    key: Signer

    @property
    def expert_keys(self) -> ExpertKeys:
        """Under which backups hold experts."""
        return ExpertKeys(self.root / "expert-keys")


class Eraser:
    """Looks at the ledger, and erases what is withdrawn. All of it can be cut off and done again."""

    def __init__(self, ledger: Ledger, holdings: Holdings) -> None:
        """Nothing is looked at yet."""
        self._ledger, self._holdings = ledger, holdings
        self._looked: tuple[int, float] = (-1, 0.0)

    def turn(self) -> None:
        """One look, where anything was written since the last one, or something was left to be tried again."""
        state = self._ledger.state()
        if state.head.sequence == self._looked[0] and time.monotonic() < self._looked[1]:
            return
        for expert in [each for each in state.experts if withdrawn_since(state, each) is not None]:
            self._erase(state, expert)
            self._erase_unpublished(state, expert)
        self._looked = (self._ledger.state().head.sequence, time.monotonic() + _AGAIN)

    def _erase(self, state: State, expert: str) -> None:
        """What the coordinator itself has of one expert; one statement for all that goes at once."""
        self._holdings.expert_keys.throw_away(expert)  # of backups that nobody registered, too
        left = {copy.name for copy in left_of(state, expert)}
        gone: list[str] = []
        remains: list[CopyRemains] = []
        for copy in copies_of(state, expert):
            if copy.holder != COORDINATOR or not (copy.name in left or self._came_back(state, copy)):
                continue
            why = self._try(state, copy)
            if why:
                remains.append(CopyRemains(holder=COORDINATOR, expert=expert, copy=copy.name, why=why))
            else:
                gone.append(copy.name)
        facts = [*([self._statement(expert, gone)] if gone else []), *remains]
        if facts:
            self._ledger.record_all(facts)
        if gone:
            owner = state.experts[expert].accepted.owner
            log.info("erased of %s's expert %s: %s", owner, expert[:19], ", ".join(gone), extra={"owner": owner})

    def _erase_unpublished(self, state: State, expert: str) -> None:
        """Packages in folders that are no release of the ledger's: unfinished, or set aside after a restoration."""
        accepted, releases = state.experts[expert].accepted, self._holdings.releases
        known = {release_folder(releases, number) for number in state.releases}
        file = f"experts/{accepted.owner}.atoll"
        for path in [*releases.glob(f"*/{file}"), *releases.glob(f".*/*/{file}")]:
            if path.parent.parent not in known and f"sha256:{file_sha256(path)}" == accepted.blob:
                path.unlink()

    def _came_back(self, state: State, copy: Copy) -> bool:
        """Whether what was erased is there again, as after a restored backup."""
        if copy.what == PACKAGE:
            return self._holdings.packages.there(copy.where)
        if copy.what == RELEASE:
            owner = state.experts[copy.expert].accepted.owner
            return expert_file(release_folder(self._holdings.releases, int(copy.where)), owner).exists()
        return False

    def _try(self, state: State, copy: Copy) -> str:
        if not copy.here:
            return f"it is on the machine '{copy.machine}', which this is not"
        try:
            return self._erase_one(state, copy)
        except (AtollError, OSError) as error:
            return str(error)

    def _erase_one(self, state: State, copy: Copy) -> str:
        """Erase one copy; why it is left there, or nothing."""
        holdings = self._holdings
        if copy.what == PACKAGE:
            holdings.packages.remove(copy.where)
            holdings.packages.sweep(time.time() - _LEFTOVER)
        elif copy.what == RELEASE:
            statement = self._signed(copy.expert, [copy.name])
            erase_member(holdings.releases, int(copy.where), state.experts[copy.expert].accepted.owner, statement)
        elif copy.what == EXPORT:
            return erase_written(Path(copy.where), copy.content)
        elif copy.what == BACKUP:
            # It may be anywhere by now; what is in it was sealed under a key, and is noise without it.
            holdings.expert_keys.throw_away(copy.expert)
        elif copy.what == TRACKED:
            made = [fact for fact in state.copies.made if copy.expert in fact.experts]
            return erase_tracked(
                Path(copy.where), copy.expert, frozenset(fact.content for fact in made if fact.content)
            )
        else:
            return f"this version of Atoll does not know how a copy of the sort '{copy.what}' is erased"
        return ""

    def _signed(self, expert: str, copies: list[str]) -> ErasureStatement:
        key = self._holdings.key
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        unsigned = ErasureStatement(
            public_key=key.public.hex, holder=COORDINATOR, expert=expert, copies=sorted(copies), at=at
        )
        return unsigned.signed(key)

    def _statement(self, expert: str, copies: list[str]) -> CopyErased:
        return CopyErased(document=self._signed(expert, copies).to_line())
