"""A release that is not in the ledger yet: written under another name, and published when the ledger has it."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from atoll.ledger import State
from atoll.mixture.shared import Shared
from atoll.releases.envelope import Issuer
from atoll.releases.folder import identity_before, read_description, release_folder, write_folder
from atoll.releases.release import Release

_NAME = ".unwritten"


class UnpublishedReleases:
    """The folder in which releases are made. What a crash leaves there is published or removed, as the ledger says."""

    def __init__(self, releases: Path) -> None:
        """Below the folder of releases."""
        self._releases, self._folder = releases, releases / _NAME

    def write(self, release: Release, packages: Mapping[str, Path], shared: Shared | None, issuer: Issuer) -> None:
        """Write a release, whole; one that is published already stays as it is.

        Args:
            release: Under its number.
            packages: Package file by owner.
            shared: The shared part, where there is one.
            issuer: Who signs.

        Raises:
            MixtureError: the disk refuses.
        """
        self.drop()
        if release_folder(self._releases, release.number).exists():
            write_folder(release, packages, release_folder(self._releases, release.number), shared, issuer)
            return
        issuer = replace(issuer, previous=identity_before(self._releases, release.number))
        write_folder(release, packages, release_folder(self._folder, release.number), shared, issuer)

    def settle(self, state: State) -> None:
        """Publish what the ledger has, and remove the rest, which nobody has seen.

        Raises:
            OSError: the disk refuses.
        """
        if not self._folder.exists():
            return
        for path in self._folder.glob("release-*"):
            made = state.releases.get(int(path.name.removeprefix("release-")))
            if made is not None and read_description(path)[0].digest == made.released.digest:
                target = self._releases / path.name
                if not target.exists():
                    path.rename(target)
        self.drop()

    def drop(self) -> None:
        """Remove what is not published."""
        shutil.rmtree(self._folder, ignore_errors=True)
