"""What a run folder rests on: settings, data and code. What arrived under one of them never counts under another."""

import hashlib
import json
import logging
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import yaml

from atoll.config import read_config, to_yaml
from atoll.config.decode import decode_json
from atoll.coordinator.config import RunConfig
from atoll.coordinator.journal import Journal
from atoll.errors import ConfigError, DataError
from atoll.experts.files import write_atomic
from atoll.workloads.workload import workload_class

log = logging.getLogger("atoll.coordinator")
FORMAT = 1
"""Goes up when the same settings and data would make other experts."""
_FILE = "basis.json"
_JOURNAL = "journal.jsonl"
_FREE = ("engine", "output", "incomplete")
"""Settings that decide where and how fast a run is, and nothing that is in it."""
_SILOS = "silos."
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class RunBasis:
    """What a run rests on.

    Attributes:
        format: Of the code.
        data: By silo, the digest of each of its files.
        settings: As a flat mapping from dotted key to its value as text.
    """

    format: int = FORMAT
    data: dict[str, dict[str, str]] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, config: RunConfig) -> Self:
        """Of a run that begins now; a silo whose data cannot be read has none, and says so itself later."""
        return cls(settings=_settings(config), data={silo.name: _digests(silo.data) for silo in config.silos})

    @classmethod
    def load(cls, folder: Path) -> "RunBasis | None":
        """Of the run that was begun in a folder; of one by an earlier version the settings alone; ``None`` for none.

        Raises:
            ConfigError: it cannot be read.
        """
        path, config = folder / _FILE, folder / "config.yaml"
        if not config.exists():
            return None
        try:
            # As this version reads it: a key that came since has its default.
            settings = _settings(read_config(RunConfig, config, []))
            found = decode_json(path.read_text("utf-8"), cls, _FILE) if path.exists() else cls()
        except (OSError, UnicodeDecodeError, DataError, ConfigError) as error:
            raise ConfigError(f"{folder}: what its run rests on cannot be read ({error}); use a new folder") from error
        assert isinstance(found, RunBasis)
        return replace(found, settings=settings)

    def save(self, folder: Path) -> None:
        """Write it into a run folder, beside the settings in ``config.yaml``."""
        held = {"format": self.format, "data": self.data}
        write_atomic(folder / _FILE, json.dumps(held, indent=1, sort_keys=True).encode())

    def changes(self, since: "RunBasis", trained: Collection[str]) -> dict[str, list[str]]:
        """What differs, in words, by silo; under an empty name what concerns all of them.

        Args:
            since: What the folder's run was begun with.
            trained: Silos whose experts arrived; the others' data is free to change.
        """
        found: dict[str, list[str]] = {}
        if self.format != since.format:
            found[""] = [f"this Atoll trains otherwise than the one that began it (format {since.format})"]
        if shared := _settings_changed(since.settings, self.settings, ""):
            found.setdefault("", []).extend(shared)
        for name in sorted(trained):
            told = _settings_changed(since.settings, self.settings, f"{_SILOS}{name}.")
            if name in self.data and name in since.data:
                told += _files_changed(since.data[name], self.data[name])
            if told:
                found[name] = told
        return found


def check_basis(now: RunBasis, folder: Path, trained: Collection[str], retrain: Collection[str]) -> bool:
    """Whether what arrived in a run folder may go on to count; false where it is begun anew by the user's word.

    Args:
        now: What the run rests on.
        folder: The run folder.
        trained: Owners whose experts arrived in it.
        retrain: Owners that the user wants trained anew.

    Raises:
        ConfigError: something differs; the message says what, and the ways on.
    """
    before = RunBasis.load(folder)
    if before is None or not trained:
        return True
    if unknown := sorted((set(trained) & now.data.keys()) - before.data.keys() - set(retrain)):
        log.warning(
            "%s was begun by an earlier version of Atoll: whether the data of %s has changed since is not known. "
            "Where it has: --retrain",
            folder,
            ", ".join(unknown),
        )
    changes = now.changes(before, trained)
    wanted = set(trained) if "" in changes else set(changes)
    if wanted <= set(retrain):
        return not retrain
    said = "; ".join(f"{name or 'settings'}: {', '.join(told)}" for name, told in changes.items())
    options = " ".join(f"--retrain {name}" for name in sorted(wanted))
    raise ConfigError(
        f"{folder}: its run rests on something else than this one. {said}. Use a new folder (output=FOLDER), or train "
        f"anew here what rests on it: {options}; what the folder has now is kept in its folder 'earlier'"
    )


def set_aside(folder: Path, retrain: Collection[str]) -> None:
    """Move what an earlier run found out of the way, for the next one's: report, results, traffic, settings.

    Args:
        folder: The run folder.
        retrain: Owners whose experts do not count any more; the others' arrived.
    """
    kept = folder / "earlier"
    number = 1 + max((int(path.name) for path in kept.glob("[0-9]*")), default=0)
    target = kept / str(number)
    target.mkdir(parents=True)
    # What says that an expert arrived goes first, and what says what it rests on goes last: a process that is killed in
    # between leaves no expert that counts under another basis.
    if (folder / _JOURNAL).exists():
        shutil.copyfile(folder / _JOURNAL, target / _JOURNAL)
        kept_lines = Journal(target / _JOURNAL).lines("trained", without=retrain)
        write_atomic(folder / _JOURNAL, "".join(f"{line}\n" for line in kept_lines).encode())
    for name in ("results.json", "report.html", "figures", "traffic.jsonl", _FILE, "config.yaml"):
        if (folder / name).exists():
            (folder / name).rename(target / name)


def _settings(config: RunConfig) -> dict[str, str]:
    loaded = yaml.safe_load(to_yaml(config))
    flat: dict[str, str] = {}
    silos = loaded.pop("silos", None) or []
    _flatten({key: value for key, value in loaded.items() if key not in _FREE}, "", flat)
    for silo in silos:
        _flatten(silo, f"{_SILOS}{silo['name']}.", flat)
    return flat


def _settings_changed(before: Mapping[str, str], now: Mapping[str, str], under: str) -> list[str]:
    """What differs among settings under a prefix, in words; without one, among those that are no silo's."""
    keys = [key for key in {*before, *now} if key.startswith(under) and bool(under) == key.startswith(_SILOS)]
    return [
        f"{key.removeprefix(under)} was {_shown(before.get(key))}, and is {_shown(now.get(key))}"
        for key in sorted(keys)
        if before.get(key) != now.get(key)
    ]


def _flatten(value: Any, prefix: str, into: dict[str, str]) -> None:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            _flatten(item, f"{prefix}{key}.", into)
    else:
        into[prefix.removesuffix(".")] = json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)


def _digests(data: Any) -> dict[str, str]:
    """Of a silo's files, by path; none where they are not there or cannot be read."""
    kind, found = workload_class(data.workload), {}
    try:
        for path in kind.data_files(kind.absolute(data)):
            with path.open("rb") as handle:
                found[str(path)] = hashlib.file_digest(handle, "sha256").hexdigest()
    except (OSError, ConfigError, DataError):
        return {}
    return found


def _files_changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    told = []
    for what, names in (
        ("gone", sorted(set(before) - set(now))),
        ("new", sorted(set(now) - set(before))),
        ("changed", sorted(name for name in set(before) & set(now) if before[name] != now[name])),
    ):
        if names:
            told.append(f"{len(names)} file{'s' if len(names) > 1 else ''} {what} ({_listed(names)})")
    return told


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(Path(name).name for name in names[:_SHOWN])
    return shown + (", …" if len(names) > _SHOWN else "")


def _shown(value: str | None) -> str:
    return "not there" if value is None else value if len(value) <= 60 else f"{value[:57]}…"
