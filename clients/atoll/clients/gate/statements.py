"""What an owner has said about consent, for the coordinator to hear: numbered, signed, one file each."""

from pathlib import Path

from atoll.errors import ConfigError, PackageError
from atoll.experts import checks
from atoll.experts.signing import Signer
from atoll.federation.handover import Statement


class Statements:
    """A folder of statements; the node hands on those that the coordinator has not heard."""

    def __init__(self, folder: Path, owner: str, key: Signer) -> None:
        """At a folder, which is made when something is said."""
        self._folder, self._owner, self._key = folder, owner, key

    def say(
        self, *, expert: str, purposes: list[str], until: str | None, words: str, new: bool = False
    ) -> tuple[Statement, Path]:
        """State what is permitted from now on.

        Args:
            expert: Digest of a package; empty for all.
            purposes: What it may be used for; none to withdraw it.
            until: ISO date, the last day; ``None`` for no end.
            words: In the owner's words.
            new: With purposes and without an expert: new experts may be taken again, though all were withdrawn.

        Returns:
            The statement, and its file.

        Raises:
            ConfigError: no digest, no date, or consent for particular purposes without saying for which expert.
        """
        if purposes and not expert and not new:
            raise ConfigError(
                "say for which expert (--expert DIGEST), or --new to take part again with new ones; "
                "only a withdrawal can be for all of them"
            )
        if expert and not checks.DIGEST.fullmatch(expert):
            raise ConfigError(f"--expert is '{expert}', which is no digest: sha256: and 64 hexadecimal digits")
        try:
            checks.iso_date("until", until)
        except PackageError as error:
            raise ConfigError(f"--until: {error}") from error
        self._folder.mkdir(parents=True, exist_ok=True)
        number = max((int(path.stem) for path in self._folder.glob("[0-9]*.json")), default=0) + 1
        unsigned = Statement(
            public_key=self._key.public.hex,
            owner=self._owner,
            number=number,
            expert=expert,
            purposes=purposes,
            until=until,
            words=words,
        )
        path = self._folder / f"{number:06d}.json"
        made = unsigned.signed(self._key)
        made.save(path)
        return made, path

    def after(self, heard: int) -> list[str]:
        """Those with a higher number, in order."""
        files = sorted(self._folder.glob("[0-9]*.json"))
        return [path.read_text("utf-8") for path in files if int(path.stem) > heard]
