"""What was measured of an owner's data: an append-only file of versions, charges and answers, on the disk before any
answer leaves.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from atoll.clients.measuring.policy import MeasuringPolicy
from atoll.errors import ConfigError
from atoll.experts.files import write_all

NAME = "measuring.jsonl"
_LARGEST = 1 << 26
"""Bytes of a line: what is longer is no entry of ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """What a data version has cost.

    Attributes:
        models: Candidates that were measured.
        figures: Numbers that were told.
        audits: Audits that were done.
    """

    models: int = 0
    figures: int = 0
    audits: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            models=self.models + other.models,
            figures=self.figures + other.figures,
            audits=self.audits + other.audits,
        )


@dataclass(slots=True)
class Version:
    """One choice of documents, and all that was measured on it.

    Attributes:
        split: Whose documents they are; ``audit`` for what audits look at.
        documents: Digests of those that figures rest on.
        spent: Since the owner renewed the budget.
        models: Candidates that were charged, and are free from then on.
        charged: Names of the figures that were charged, by question.
        ranks: How many numbers had been charged when a figure was, by question and name.
        answers: What was told, by question and figure.
        noises: Standard deviation of a figure's noise over what one document changes, by question and name; 0 where
            there is no noise, or none that promises anything.
        settings: What else the answers depend on, such as an audit's; fixed by the first.
    """

    split: str
    documents: tuple[str, ...]
    spent: Spent = field(default_factory=Spent)
    models: set[str] = field(default_factory=set)
    charged: dict[str, set[str]] = field(default_factory=dict)
    ranks: dict[tuple[str, str], int] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    noises: dict[tuple[str, str], float] = field(default_factory=dict)
    settings: str = ""

    @property
    def name(self) -> str:
        """Of this choice of documents, the same in whatever order they are."""
        return hashlib.sha256(" ".join([self.split, *sorted(self.documents)]).encode()).hexdigest()[:32]

    @property
    def documents_set(self) -> frozenset[str]:
        """The documents without their order."""
        return frozenset(self.documents)


class MeasuringBudget:
    """A node's measurements. Another process may renew the budget while the node runs."""

    def __init__(self, folder: Path) -> None:
        """Take up what is on the disk of a node's folder."""
        self._path = folder / NAME
        self._lock = FileLock(folder / f".{NAME}.lock")
        self._read = 0
        self._largest = 1
        self.versions: list[Version] = []
        self.damaged = 0
        self._sync()

    def current(self, split: str) -> Version | None:
        """The version of a split that was measured last; ``None`` where none was."""
        self._sync()
        return next((each for each in reversed(self.versions) if each.split == split), None)

    def spent(self, split: str = "test") -> Spent:
        """What the current version of a split has cost since the owner renewed the budget."""
        version = self.current(split)
        return Spent() if version is None else version.spent

    def left(self, policy: MeasuringPolicy, split: str = "test") -> Spent:
        """What it may still cost."""
        gone = self.spent(split)
        return Spent(
            models=max(0, policy.models - gone.models),
            figures=max(0, policy.figures - gone.figures),
            audits=max(0, policy.audits - gone.audits),
        )

    def renew(self) -> None:
        """Begin the budget of every version anew. Only the owner's own hand does this: answers stay, and stay free."""
        self._append({"kind": "renewal", "at": _now()})

    def begin(self, split: str, documents: Sequence[str]) -> Version:
        """Measure on these documents from now on; a choice that was measured before is taken up again.

        What was spent on documents that stay is carried over, in proportion, so that a small change of the data does
        not bring the whole budget back.
        """
        before = self.current(split)
        carried = Spent()
        if before is not None and documents:
            share = len(before.documents_set & set(documents)) / len(documents)
            gone = before.spent
            carried = Spent(
                models=math.ceil(gone.models * share),
                figures=math.ceil(gone.figures * share),
                audits=math.ceil(gone.audits * share),
            )
        self._append(
            {
                "kind": "version",
                "at": _now(),
                "split": split,
                "documents": list(documents),
                "carried": [carried.models, carried.figures, carried.audits],
            }
        )
        made = self.current(split)
        assert made is not None
        return made

    def charge(
        self,
        version: Version,
        figures: Mapping[str, Mapping[str, int]],
        models: Mapping[str, str],
        *,
        to: str,
        audits: int = 0,
    ) -> None:
        """Write down what is about to be measured; what was charged before costs nothing.

        Args:
            version: What is measured on.
            figures: How many numbers each figure is, by question and name.
            models: The model that each question is about; questions about the anchor have none.
            to: Whom the answer is for.
            audits: How many audits.
        """
        self._append(
            {
                "kind": "charge",
                "at": _now(),
                "version": version.name,
                "to": to,
                "figures": {question: dict(each) for question, each in figures.items()},
                "models": sorted({models[question] for question in figures if question in models}),
                "audits": audits,
            }
        )

    def price(self, version: Version, figures: Mapping[str, Mapping[str, int]], models: Mapping[str, str]) -> Spent:
        """What a charge would cost."""
        new = {models[question] for question in figures if question in models} - version.models
        numbers = sum(
            count
            for question, each in figures.items()
            for name, count in each.items()
            if name not in version.charged.get(question, ())
        )
        return Spent(models=len(new), figures=numbers)

    def keep(
        self,
        version: Version,
        answers: Mapping[str, Mapping[str, Any]],
        settings: str = "",
        noises: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        """Write down what is about to be told, so that equal questions get equal answers for nothing.

        Args:
            version: What was measured on.
            answers: By question and figure.
            settings: What else they depend on.
            noises: See :attr:`Version.noises`, by question and figure.
        """
        self._append(
            {
                "kind": "answer",
                "at": _now(),
                "version": version.name,
                "answers": {question: dict(each) for question, each in answers.items()},
                "settings": settings,
                "noises": {question: dict(each) for question, each in (noises or {}).items()},
            }
        )

    def _append(self, entry: dict[str, Any]) -> None:
        """One line more, on the disk.

        Raises:
            OSError: it cannot be written; then nothing may leave.
        """
        line = json.dumps(entry, sort_keys=True, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        with self._lock:
            with self._path.open("ab+", buffering=0) as handle:
                size = handle.seek(0, 2)
                if size:
                    handle.seek(size - 1)
                    if handle.read(1) != b"\n":  # cut short by a crash: it must not swallow this one
                        line = b"\n" + line
                try:
                    write_all(handle, line)
                except OSError:
                    handle.truncate(size)
                    raise
            self._sync()

    def _sync(self) -> None:
        """Read what has been added since the last look."""
        if not self._path.exists():
            return
        with self._path.open("rb") as handle:
            size = handle.seek(0, 2)
            if size < self._read:
                raise ConfigError(f"{self._path}: has become shorter; restore it, for it says what was told already")
            handle.seek(self._read)
            while line := handle.readline(_LARGEST):
                whole = line.endswith(b"\n")
                if not whole and handle.tell() >= size:
                    return  # not finished; read when it is, or when the next line has closed it
                self._read = handle.tell()
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            self._apply(entry)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            if line.strip():
                self._count_damage()

    def _count_damage(self) -> None:
        """A line that cannot be read may have been a charge: it counts as the largest one that there was."""
        self.damaged += 1
        for version in self.versions:
            version.spent += Spent(models=1, figures=self._largest)

    def _apply(self, entry: dict[str, Any]) -> None:
        kind = entry["kind"]
        if kind == "renewal":
            for version in self.versions:
                version.spent = Spent()
            return
        if kind == "version":
            self._apply_version(entry)
            return
        of_name = {each.name: each for each in self.versions}
        version = of_name[entry["version"]]
        if kind == "charge":
            figures = {question: dict(each) for question, each in entry["figures"].items()}
            models = set(entry["models"])
            new = sum(
                int(count)
                for question, each in figures.items()
                for name, count in each.items()
                if name not in version.charged.get(question, ())
            )
            version.spent += Spent(models=len(models - version.models), figures=new, audits=int(entry["audits"]))
            version.models |= models
            for question, each in figures.items():
                version.charged.setdefault(question, set()).update(each)
                for name in each:
                    version.ranks.setdefault((question, name), version.spent.figures)
            self._largest = max(self._largest, new)
        elif kind == "answer":
            for question, told in entry["answers"].items():
                version.answers.setdefault(question, {}).update(told)
            for question, each in entry.get("noises", {}).items():
                version.noises.update({(question, name): float(noise) for name, noise in each.items()})
            version.settings = version.settings or str(entry["settings"])
        else:
            raise ValueError(kind)

    def _apply_version(self, entry: dict[str, Any]) -> None:
        split, documents = str(entry["split"]), tuple(map(str, entry["documents"]))
        same = [each for each in self.versions if each.split == split and each.documents_set == set(documents)]
        if same:
            self.versions.remove(same[0])
            self.versions.append(same[0])
            return
        models, figures, audits = map(int, entry["carried"])
        spent = Spent(models=models, figures=figures, audits=audits)
        self.versions.append(Version(split=split, documents=documents, spent=spent))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
