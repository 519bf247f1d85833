"""The node's account: what its trainings have used up and what has left with what promise, for the life of the silo."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from atoll.clients.gate.refusal import Refusal
from atoll.clients.gate.signed_log import Entry, SignedLog
from atoll.clients.gate.training_policy import TrainingPolicy
from atoll.clients.measuring.records import MOST
from atoll.clients.spending import NO_PROMISE, Spend, Total, total
from atoll.clients.training.basis import TrainBasis
from atoll.errors import ConfigError
from atoll.experts.files import write_atomic
from atoll.experts.signing import Signer
from atoll.federation.units import TrainUnit

FILE = "account.jsonl"
TRAINING, RELEASE, RENEWAL = "training", "release", "renewal"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the account says now.

    Attributes:
        total: Spent with a promise, over the life of the silo.
        spends: All that left, the oldest first, each once.
        trainings: Trainings used since the owner last renewed them, by version of the data.
    """

    total: Total
    spends: list[Spend]
    trainings: dict[str, int]


class Account:
    """A signed log in the node's folder."""

    def __init__(self, folder: Path, key: Signer) -> None:
        """Of a node.

        Args:
            folder: The node's.
            key: The owner's, which signs every entry.
        """
        self._log = SignedLog(folder / FILE, key)
        self._versions = folder / "account-versions"

    def standing(self) -> Standing:
        """What was used and spent.

        Raises:
            ConfigError: the account was changed.
        """
        entries = self._log.entries()
        spends = _spends(entries)
        used = [entry.body["data"] for entry in _current(entries)]
        return Standing(total(spends), spends, {data: used.count(data) for data in sorted(set(used))})

    def allow(
        self, policy: TrainingPolicy, unit: TrainUnit, basis: TrainBasis, min_documents: int, *, by_owner: bool = False
    ) -> None:
        """Take a training on: count it, unless it is one that was counted before.

        All trainings on one version of the data describe it by the same sample and validate on the same, and two
        versions differ by ``min_documents`` at least: of two samples that differ by a document, the difference would be
        that document's.

        Args:
            policy: The rules.
            unit: The work.
            basis: What it rests on, and what it will spend.
            min_documents: The policy's.
            by_owner: Whether the owner itself asked, and knows what a difference would tell: then only what it spends
                is looked at, and it is counted all the same.

        Raises:
            Refusal: the trainings are used up, another sample was described before, or what it would spend is above
                the ceiling. Nothing is counted then.
            ConfigError: the account was changed.
        """
        with self._log.locked() as entries:
            self._allow_spending(policy, entries, [] if _left(entries, unit, basis) else basis.spends)
            before = [entry for entry in _current(entries) if entry.body["data"] == basis.data]
            if any(entry.body["unit"] == unit.address for entry in before):
                return
            if not by_owner:
                self._allow_another(policy, unit, basis, entries, before, min_documents)
            kept = self._keep(basis.records)
            body = {"data": basis.data, "unit": unit.address, "sample": _sample(unit), "documents": kept}
            self._log.append(TRAINING, body)

    def _allow_another(
        self,
        policy: TrainingPolicy,
        unit: TrainUnit,
        basis: TrainBasis,
        entries: Sequence[Entry],
        before: Sequence[Entry],
        min_documents: int,
    ) -> None:
        """Raise Refusal where a further training would tell what the earlier ones did not."""
        if len(before) >= policy.trainings:
            raise Refusal(
                f"{len(before)} trainings on this version of the data are used up (the policy's "
                f"training.trainings is {policy.trainings}); the owner can renew them: "
                "atoll node budget FOLDER --renew trainings"
            )
        for name, value in _sample(unit).items():
            known = {entry.body["sample"][name] for entry in before} - {0}
            if value and known and value not in known:
                raise Refusal(
                    f"{name} is {value}, and earlier trainings on this version of the data had {min(known)}: two "
                    "samples that differ by a document would tell it; ask for the same, or let the owner renew "
                    "(atoll node budget FOLDER --renew trainings)"
                )
        for known in {entry.body["documents"] for entry in _current(entries) if entry.body["data"] != basis.data}:
            changed = len(self._kept(known) ^ set(basis.records))
            # Of more documents than are listed, one that is not listed may have changed.
            if changed < min_documents and (changed or len(basis.records) >= MOST):
                raise Refusal(
                    "documents changed since an earlier training, and fewer than the policy's min_documents "
                    f"({min_documents}): the difference of two experts would tell them; wait for more, or let the "
                    "owner renew (atoll node budget FOLDER --renew trainings)"
                )

    def _keep(self, records: Sequence[str]) -> str:
        """Write down a version's documents; returns the digest by which an entry names them."""
        content = json.dumps(sorted(records)).encode()
        digest = hashlib.sha256(content).hexdigest()
        self._versions.mkdir(parents=True, exist_ok=True)
        if not (self._versions / f"{digest}.json").exists():
            write_atomic(self._versions / f"{digest}.json", content)
        return digest

    def _kept(self, digest: str) -> set[str]:
        path = self._versions / f"{digest}.json"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}); the account names it") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise ConfigError(f"{path}: was changed; the account names another content")
        return set(json.loads(content))

    def release(
        self, policy: TrainingPolicy, unit: TrainUnit, basis: TrainBasis, package: str, spends: Sequence[Spend]
    ) -> None:
        """Note what is about to leave; it is on the disk when this returns. The same package again costs nothing.

        Args:
            policy: The rules.
            unit: The work that it comes from.
            basis: What that rests on.
            package: Digest of what leaves.
            spends: What is in it.

        Raises:
            Refusal: it is above the ceiling.
            ConfigError: the account was changed.
        """
        self._release(policy, {"package": package, "data": basis.data, "unit": unit.address}, spends)

    def tell(self, policy: TrainingPolicy, key: str, spends: Sequence[Spend]) -> None:
        """Note figures that are about to leave, as :meth:`release` does a package.

        Args:
            policy: The rules.
            key: Digest of what was asked and told; the same again costs nothing.
            spends: What is in it.

        Raises:
            Refusal: it is above the ceiling.
            ConfigError: the account was changed.
        """
        self._release(policy, {"package": key, "data": "", "unit": ""}, spends)

    def expect(self, policy: TrainingPolicy, spends: Sequence[Spend]) -> None:
        """Raise Refusal where figures that are about to be measured would be above the ceiling; nothing is noted yet.

        Raises:
            ConfigError: the account was changed.
        """
        self._allow_spending(policy, self._log.entries(), spends)

    def _release(self, policy: TrainingPolicy, body: dict[str, str], spends: Sequence[Spend]) -> None:
        if not spends:
            return
        with self._log.locked() as entries:
            if any(entry.kind == RELEASE and entry.body["package"] == body["package"] for entry in entries):
                return
            known = {each["key"] for entry in entries if entry.kind == RELEASE for each in entry.body["spends"]} - {""}
            new = [spend for spend in spends if spend.key not in known]
            self._allow_spending(policy, entries, new)
            self._log.append(RELEASE, {**body, "spends": [asdict(spend) for spend in new]})

    def renew(self) -> None:
        """Begin to count trainings anew, by the owner's hand; what was spent stays spent."""
        self._log.append(RENEWAL, {})

    def _allow_spending(self, policy: TrainingPolicy, entries: Sequence[Entry], more: Sequence[Spend]) -> None:
        if all(spend.mechanism == NO_PROMISE for spend in more):
            return
        after = total([*_spends(entries), *more])
        # Written so that what is not a number is refused as well.
        if not (after.epsilon <= policy.total_epsilon and after.delta <= policy.total_delta):
            before = total(_spends(entries))
            raise Refusal(
                f"ε = {before.epsilon:.3g} of all that left is spent, and this would make it {after.epsilon:.3g} with "
                f"δ = {after.delta:.2g} ({after.composition}); the policy allows training.total_epsilon "
                f"{policy.total_epsilon:g} and training.total_delta {policy.total_delta:g}"
            )


def _sample(unit: TrainUnit) -> dict[str, int]:
    return {
        "descriptor.documents": unit.descriptor_documents,
        "descriptor.counted": unit.descriptor_counted,
        # 0 is all of them, and not none.
        "training.validation_windows": 0 if unit.privacy.on else unit.training.validation_windows or -1,
    }


def _current(entries: Sequence[Entry]) -> list[Entry]:
    """Trainings since the last renewal."""
    renewed = max((entry.number for entry in entries if entry.kind == RENEWAL), default=0)
    return [entry for entry in entries if entry.kind == TRAINING and entry.number > renewed]


def _left(entries: Sequence[Entry], unit: TrainUnit, basis: TrainBasis) -> bool:
    """Whether the package of this unit on this data has left before."""
    asked = (basis.data, unit.address)
    return any(entry.kind == RELEASE and (entry.body["data"], entry.body["unit"]) == asked for entry in entries)


def _spends(entries: Sequence[Entry]) -> list[Spend]:
    """All that left, each once."""
    found: dict[str, Spend] = {}
    for entry in entries:
        if entry.kind == RELEASE:
            for number, each in enumerate(entry.body["spends"]):
                spend = Spend(**each)
                found.setdefault(spend.key or f"{entry.number}.{number}", spend)
    return list(found.values())
