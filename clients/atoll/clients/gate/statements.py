"""What an owner has said about consent, for the coordinator to hear: numbered, signed, one file each."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from atoll.errors import ConfigError, PackageError
from atoll.experts import checks
from atoll.experts.files import write_atomic
from atoll.experts.signing import Signer
from atoll.federation.handover import Statement

_ACKNOWLEDGED = "acknowledged.json"


class Statements:
    """A folder of statements; the node hands on those that the coordinator has not heard."""

    def __init__(self, folder: Path, owner: str, key: Signer) -> None:
        """At a folder, which is made when something is said."""
        self._folder, self._owner, self._key = folder, owner, key

    def say(
        self, *, expert: str, purposes: list[str], until: str | None, words: str, new: bool = False, after: int = 0
    ) -> tuple[Statement, Path]:
        """State what is permitted from now on.

        Args:
            expert: Digest of a package; empty for all.
            purposes: What it may be used for; none to withdraw it.
            until: ISO date, the last day; ``None`` for no end.
            words: In the owner's words.
            new: With purposes and without an expert: new experts may be taken again, though all were withdrawn.
            after: Give it a higher number than this: of statements that were made elsewhere, and are not here.

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
        number = max([after, *self._numbers(), *self._acknowledged().values()]) + 1
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
        return [path.read_text("utf-8") for number, path in self._numbers().items() if number > heard]

    def unheard(self, claimed: Mapping[str, str], heard: int) -> list[str]:
        """Those that a coordinator has not heard, in order; signed anew, where the owner's key is another one since.

        Args:
            claimed: Digests of those that it says it has, by number.
            heard: Up to which number it says it has them all.
        """
        found = []
        for number, path in self._numbers().items():
            if str(number) in claimed or (not claimed and number <= heard):
                continue
            statement = Statement.load(path)
            if statement.public_key != self._key.public.hex:
                statement = replace(statement, public_key=self._key.public.hex).signed(self._key)
                statement.save(path)
            found.append(path.read_text("utf-8"))
        return found

    def compare(self, claimed: Mapping[str, str], coordinator: str) -> list[str]:
        """What is wrong with the statements that a coordinator says it has heard from this owner.

        A statement of this folder that has the number of another one, which the coordinator has, is stated anew under a
        number that is free: it must be heard, whatever happened to the folder or the ledger.

        Args:
            claimed: Digests by number.
            coordinator: Hex of its key.

        Returns:
            A sentence for each; none where all is well.
        """
        wrong = []
        files = self._numbers()
        for number, digest in claimed.items():
            path = files.get(int(number)) if number.isdecimal() else None
            if path is None:
                wrong.append(f"the coordinator has a statement {number} in this owner's name that it never made here")
            elif Statement.load(path).content_digest != digest:
                wrong.append(f"the coordinator has another statement {number} in this owner's name than {path}")
                self._acknowledge(coordinator, claimed)
                self._state_anew(path)
        last = self._acknowledged().get(coordinator, 0)
        lost = [number for number in files if number <= last and str(number) not in claimed]
        if lost:
            wrong.append(f"the coordinator had heard statement {lost[-1]}, and has lost it: its ledger was rolled back")
        self._acknowledge(coordinator, claimed)
        return wrong

    def _state_anew(self, path: Path) -> None:
        old = Statement.load(path)
        path.rename(path.with_suffix(".again"))
        self.say(expert=old.expert, purposes=old.purposes, until=old.until, words=old.words, new=True)

    def _acknowledge(self, coordinator: str, claimed: Mapping[str, str]) -> None:
        known = self._acknowledged()
        last = max([known.get(coordinator, 0), *(int(number) for number in claimed if number.isdecimal())])
        if claimed and known.get(coordinator) != last:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self._folder / _ACKNOWLEDGED, json.dumps({**known, coordinator: last}).encode())

    def _acknowledged(self) -> dict[str, int]:
        """The last number that each coordinator has said it heard."""
        path = self._folder / _ACKNOWLEDGED
        return {key: int(number) for key, number in json.loads(path.read_bytes()).items()} if path.exists() else {}

    def _numbers(self) -> dict[int, Path]:
        return {int(path.stem): path for path in sorted(self._folder.glob("[0-9]*.json"))}
