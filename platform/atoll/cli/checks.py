"""What ``atoll doctor`` looks at. Nothing here fails because something is missing: that is what is reported."""

import importlib
import os
import platform
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from typing import Any, Literal

from atoll.cli.requirements import ENCODER, SMOLLM2, Wanted, install, of_atoll
from atoll.plugins import twice

_EXTRAS = ("text", "smollm2", "privacy", "demo")
_GROUPS = ("atoll.experts", "atoll.integrators", "atoll.routers", "atoll.workloads")
# Distributions whose module has another name; those of the demo's text are read as files and never imported.
_MODULES = {
    "pillow": "PIL",
    "prometheus-client": "prometheus_client",
    "python-json-logger": "pythonjsonlogger",
    "pyyaml": "yaml",
}
_IMPORTED_EXTRAS = ("transformers", "peft", "pyarrow", "gguf", "opacus")
_REINSTALL = "install atoll again from where it came: pip install --force-reinstall --no-deps …"
_OLDEST = (3, 11)
_CORE = ("versions", "anchors", "plug-ins")
_LEAST_FREE = 2 * 2**30  # bytes: a converted anchor, tokens of the silos

State = Literal["ok", "missing", "broken"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        section: ``versions``, ``devices``, ``disk``, ``extras``, ``anchors`` or ``plug-ins``.
        name: What it is.
        state: ``missing`` is not there, ``broken`` is there and does not work.
        detail: What was found.
        mend: The command that mends it; empty where there is nothing to mend.
        required: Whether nothing works without it.
    """

    section: str
    name: str
    state: State
    detail: str
    mend: str = ""
    required: bool = False


def all_checks() -> list[Check]:
    """Everything, in the order in which it is shown."""
    sections: dict[str, Callable[[], Iterator[Check]]] = {
        "versions": versions,
        "devices": devices,
        "disk": disk,
        "extras": extras,
        "anchors": anchors,
        "plug-ins": plugins,
    }
    return [check for name, checks in sections.items() for check in _guarded(name, checks)]


def versions() -> Iterator[Check]:
    """Python, and what atoll itself asks for."""
    new_enough = tuple(map(int, platform.python_version_tuple()[:2])) >= _OLDEST
    yield Check(
        section="versions",
        name="Python",
        state="ok" if new_enough else "broken",
        detail=f"{platform.python_version()}, {platform.platform()}",
        mend="" if new_enough else "make the virtual environment with Python 3.11 or newer",
        required=True,
    )
    wanted = of_atoll()
    own = _own_version()
    state: State = "ok" if own and wanted else "missing"
    detail, mend = (own, "") if state == "ok" else ("is not installed", _REINSTALL)
    yield Check(section="versions", name="atoll", state=state, detail=detail, mend=mend, required=True)
    for each in wanted:
        yield _package("versions", each, label=each.name, imported=True, required=True)


def _own_version() -> str:
    try:
        return version("atoll")
    except PackageNotFoundError:
        return ""


def extras() -> Iterator[Check]:
    """What is only needed for some work, by the name of the extra."""
    seen: set[str] = set()
    for extra in _EXTRAS:
        for each in of_atoll(extra):
            if each.name not in seen:
                seen.add(each.name)
                yield _package("extras", each, label=f"{extra}: {each.name}", imported=each.name in _IMPORTED_EXTRAS)
        if extra == "smollm2":
            yield _package("extras", SMOLLM2, label=f"smollm2: {SMOLLM2.name}")
    yield _package("extras", ENCODER, label=f"encoder: {ENCODER.name}")


def devices() -> Iterator[Check]:
    """Processors, memory and every GPU that torch sees."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Check(section="devices", name="CPU", state="ok", detail=f"{cores} cores, {platform.machine()}")
    yield Check(section="devices", name="memory", state="ok", detail=_memory())
    torch, problem = _imported("torch")
    if torch is None:
        yield Check(section="devices", name="GPU", state="missing", detail=f"torch does not import: {problem}")
        return
    try:
        gpus = list(_gpus(torch))
    except Exception as error:  # a driver that does not fit the build, for instance
        yield Check(section="devices", name="GPU", state="broken", detail=_one_line(error))
        return
    yield from gpus or [Check(section="devices", name="GPU", state="ok", detail="none; everything runs on the CPU")]


def disk() -> Iterator[Check]:
    """Room where Atoll keeps what it can make again."""
    from atoll.anchors.cache import cache_root

    there = folder = cache_root()
    while not there.exists() and there != there.parent:
        there = there.parent
    move = "ATOLL_CACHE names another folder: export ATOLL_CACHE=/path/with/room"
    if not there.is_dir() or not os.access(there, os.W_OK):
        yield Check(section="disk", name="cache", state="broken", detail=f"{folder} cannot be written", mend=move)
        return
    free = shutil.disk_usage(there).free
    enough = free >= _LEAST_FREE
    yield Check(
        section="disk",
        name="cache",
        state="ok" if enough else "broken",
        detail=f"{free / 2**30:.1f} GiB free for {folder}",
        mend="" if enough else move,
    )


def anchors() -> Iterator[Check]:
    """The anchors that come ready; none is converted here."""
    from atoll.anchors import Anchor, cache_root
    from atoll.anchors.resolve import SHIPPED, resolve

    for name in SHIPPED:
        try:
            yield _anchor(resolve(name), required=True)
        except Exception as error:
            detail = _one_line(error)
            yield Check(section="anchors", name=name, state="broken", detail=detail, mend=_REINSTALL, required=True)
    folder = cache_root() / "anchors" / "smollm2"
    if folder.is_dir():
        try:
            yield _anchor(Anchor.open(folder, "smollm2"))
        except Exception as error:
            again = f"remove {folder}; the next use makes it again"
            yield Check(section="anchors", name="smollm2", state="broken", detail=_one_line(error), mend=again)
        return
    lacking = [each for each in (*of_atoll("smollm2"), SMOLLM2) if _found(each) is None]
    detail = (
        f"needs {', '.join(each.name for each in lacking)}" if lacking else "the first use converts it, in a minute"
    )
    yield Check(
        section="anchors",
        name="smollm2",
        state="missing" if lacking else "ok",
        detail=detail,
        mend=" && ".join(map(install, lacking)),
    )


def plugins() -> Iterator[Check]:
    """Every implementation of an extension point, ours and other packages'."""
    found = entry_points()
    for group in sorted({*_GROUPS, *(group for group in found.groups if group.startswith("atoll."))}):
        entries = sorted(set(found.select(group=group)))
        if group in _GROUPS and not entries:
            detail = "nothing is registered"
            yield Check(section="plug-ins", name=group, state="missing", detail=detail, mend=_REINSTALL, required=True)
        for entry in entries:
            same = [each for each in entries if each.name == entry.name]
            yield _twice(group, same) if len({each.value for each in same}) > 1 else _plugin(entry)


def _guarded(section: str, checks: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """The checks, and one more where looking itself fails, because of a package that everything needs."""
    try:
        yield from checks()
    except Exception as error:
        package = error.name.partition(".")[0] if isinstance(error, ImportError) and error.name else ""
        mend = f"pip install {package}" if package and package != "atoll" else ""
        required = section in _CORE
        yield Check(
            section=section, name=section, state="broken", detail=_one_line(error), mend=mend, required=required
        )


def _twice(group: str, entries: list[EntryPoint]) -> Check:
    others = sorted({entry.dist.name for entry in entries if entry.dist and entry.dist.name != "atoll"})
    return Check(
        section="plug-ins",
        name=f"{group.removeprefix('atoll.')}: {entries[0].name}",
        state="broken",
        detail=twice(group, entries),
        mend=f"pip uninstall {others[-1]}" if others else _REINSTALL,
        required="atoll" in {entry.dist.name for entry in entries if entry.dist},
    )


def _plugin(entry: EntryPoint) -> Check:
    owner = entry.dist.name if entry.dist else "?"
    ours = owner == "atoll"
    name = f"{entry.group.removeprefix('atoll.')}: {entry.name}"
    try:
        with warnings.catch_warnings(action="ignore"):
            entry.load()
    except Exception as error:
        mend = _REINSTALL if ours else f"pip install --upgrade {owner}   (or without it: pip uninstall {owner})"
        detail = f"{entry.value} does not load: {_one_line(error)}"
        return Check(section="plug-ins", name=name, state="broken", detail=detail, mend=mend, required=ours)
    return Check(
        section="plug-ins", name=name, state="ok", detail=entry.value if ours else f"{entry.value}, of {owner}"
    )


def _package(section: str, wanted: Wanted, *, label: str, imported: bool = False, required: bool = False) -> Check:
    """Whether a package is there, of a version that fits, and imports."""
    found = _found(wanted)
    state: State = "ok"
    if found is None:
        state, detail = "missing", f"needs {wanted.text}"
    elif not wanted.fits(found):
        state, detail = "broken", f"{found} does not fit {wanted.text}"
    else:
        detail = found if wanted.tested in (None, found.partition("+")[0]) else f"{found} (tested with {wanted.tested})"
        _, problem = _imported(_MODULES.get(wanted.name, wanted.name)) if imported else (None, "")
        if problem:
            state, detail = "broken", f"{found} is installed but does not import: {problem}"
    broken_as_it_is = state == "broken" and found is not None and wanted.fits(found)
    mend = "" if state == "ok" else install(wanted, again=broken_as_it_is)
    return Check(section=section, name=label, state=state, detail=detail, mend=mend, required=required)


def _found(wanted: Wanted) -> str | None:
    try:
        return version(wanted.name)
    except PackageNotFoundError:
        return None


def _imported(module: str) -> tuple[Any, str]:
    """The module and nothing, or nothing and why not."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return importlib.import_module(module), ""
    except Exception as error:  # a broken binary raises OSError, a mismatch of versions anything
        return None, _one_line(error)


def _gpus(torch: Any) -> Iterator[Check]:
    if not torch.cuda.is_available():
        return
    bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
    for index in range(torch.cuda.device_count()):
        has = torch.cuda.get_device_properties(index)
        detail = f"{has.name}, {has.total_memory / 2**30:.0f} GiB, {bf16}"
        yield Check(section="devices", name=f"GPU {index}", state="ok", detail=detail)


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    except (AttributeError, ValueError, OSError):
        return "unknown on this system"


def _anchor(anchor: Any, *, required: bool = False) -> Check:
    detail = f"ready: {anchor.family}, {anchor.layers} layers, {anchor.parameters / 1e6:.1f} M parameters"
    return Check(section="anchors", name=anchor.name, state="ok", detail=detail, required=required)


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
