"""Who may answer now: asked of the ledger before every answer, so a withdrawal is in force in the next one."""

from datetime import UTC, datetime

from atoll.errors import MixtureError
from atoll.ledger import ANY, Ledger
from atoll.releases.release import Release


class Permitted:
    """The members of a release whose owners permit a use of their experts."""

    def __init__(self, ledger: Ledger, release: Release, purpose: str = ANY, *, made: str = "") -> None:
        """For one use.

        Args:
            ledger: Says what is permitted.
            release: Whose members are meant.
            purpose: The use; experts that are restricted to others do not answer.
            made: Digest of the release as it was made, where members were left out since.

        Raises:
            MixtureError: the ledger knows nothing of this release.
        """
        known = [made.released.digest for made in ledger.state().releases.values()]
        if (made or release.digest) not in known:
            raise MixtureError(
                f"the ledger has no release {release.digest}; give the ledger of the coordinator that made it"
            )
        self._ledger, self._release, self._purpose = ledger, release, purpose

    def owners(self) -> list[str]:
        """Who may answer at this moment.

        Raises:
            MixtureError: nobody may.
            LedgerError: the ledger was changed, is doubted, or was restored and not everybody was heard since.
        """
        self._ledger.state().expect_confirmed()
        usable = set(self._ledger.state().usable(self._purpose, datetime.now(UTC)))
        found = [member.owner for member in self._release.members if member.digest in usable]
        if not found:
            raise MixtureError(f"no owner permits the use '{self._purpose}' of its expert in this release now")
        return found
