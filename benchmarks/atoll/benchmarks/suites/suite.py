"""A suite: one YAML file that says which study runs which methods, in which cases, with which seeds."""

import difflib
import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from atoll.benchmarks.suites.figure import Figures
from atoll.benchmarks.suites.published import PublishedConfig
from atoll.benchmarks.suites.study import GROUP, Study
from atoll.config import read_config
from atoll.config.decode import decode
from atoll.errors import ConfigError, DataError
from atoll.plugins import build

LIBRARY = Path(__file__).parent / "library"
"""The suites that come with Atoll."""

_QUICK = ("settings", "vary", "methods", "seeds")


@dataclass(frozen=True)
class MethodConfig:
    """One method of a suite.

    Attributes:
        name: As the study knows it.
        label: What tables and figures call it; the name if empty.
        options: Of the method.
    """

    name: str
    label: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The label, or the name."""
        return self.label or self.name


@dataclass(frozen=True)
class ClaimConfig:
    """That one method is better than another, by the suite's metric unless another is named.

    Attributes:
        better: Its label.
        than: The other's.
        metric: A figure; the suite's metric if empty.
        lower_is_better: Of that figure; what the study says of it where nothing is said here.
    """

    better: str
    than: str
    metric: str = ""
    lower_is_better: bool | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """One method with one seed in one case.

    Attributes:
        case: Settings that the cases differ in; empty where there is one case.
        method: The method.
        seed: Of everything random.
    """

    case: Mapping[str, Any]
    method: MethodConfig
    seed: int

    @property
    def title(self) -> str:
        """What tables call the case."""
        return case_title(self.case)

    @property
    def label(self) -> str:
        """What people are shown: case, method and seed."""
        return " / ".join(part for part in (self.title, self.method.title, f"seed {self.seed}") if part)


@dataclass(frozen=True, kw_only=True)
class SuiteConfig:
    """A suite's file.

    Attributes:
        title: In one line.
        about: What is compared, and what it shows.
        study: Registered name.
        settings: Of the study.
        vary: Further settings of the study with several values each; every combination is a case.
        methods: Names, or mappings with ``name``, ``label`` and ``options``.
        seeds: Of everything random.
        metric: A figure of the outcomes; for streams ``METRIC/FIGURE``, such as ``accuracy/average_final``.
        higher_is_better: Of the metric; what the study says of it where nothing is said here.
        reference: Label of the upper bound, such as joint training; empty for none.
        claims: Winners that the suite claims.
        quick: Other ``settings`` (over the ones above), ``vary``, ``methods`` and ``seeds`` for a run of a minute.
        published: A paper's figures, for comparison of the order of methods.
        bounds: By case, method and figure, the smallest and the largest mean over seeds that is no regression.
        bounds_origin: Where the bounds come from.
    """

    title: str = MISSING
    about: str = ""
    study: str = MISSING
    settings: dict[str, Any] = field(default_factory=dict)
    vary: dict[str, Any] = field(default_factory=dict)
    methods: list[Any] = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    metric: str = MISSING
    higher_is_better: bool | None = None
    reference: str = ""
    claims: list[ClaimConfig] = field(default_factory=list)
    quick: dict[str, Any] = field(default_factory=dict)
    published: PublishedConfig = field(default_factory=PublishedConfig)
    bounds: dict[str, Any] = field(default_factory=dict)
    bounds_origin: str = ""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A suite that was read and checked.

    Attributes:
        name: Of its file, without the ending; ``-quick`` is added for the quick form.
        config: The file's content.
    """

    name: str
    config: SuiteConfig

    @cached_property
    def methods(self) -> tuple[MethodConfig, ...]:
        """In the file's order."""
        return tuple(_method(given, place) for place, given in enumerate(self.config.methods))

    @cached_property
    def cases(self) -> tuple[dict[str, Any], ...]:
        """Every combination of what varies."""
        names = list(self.config.vary)
        values = itertools.product(*(self.config.vary[name] for name in names))
        return tuple(dict(zip(names, chosen, strict=True)) for chosen in values)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Seed by seed, so that a suite that is cut short has all methods with the first ones."""
        return tuple(
            Cell(case, method, seed) for seed in self.config.seeds for case in self.cases for method in self.methods
        )

    def study(self, case: Mapping[str, Any]) -> Study:
        """The study with the settings of a case.

        Raises:
            ConfigError: a setting that it does not have, or of the wrong type.
            PluginError: there is no such study.
        """
        made = build(GROUP, self.config.study, {**self.config.settings, **case})
        assert isinstance(made, Study)
        return made

    @cached_property
    def figures(self) -> Figures | None:
        """What its study says it reports."""
        return self.study(self.cases[0]).figures()

    @cached_property
    def higher_is_better(self) -> bool:
        """Whether more of the metric is better.

        Raises:
            ConfigError: nobody reports the metric, or the suite says it the other way round than its study.
        """
        return self.direction(self.config.metric, self.config.higher_is_better, "metric")

    def direction(self, figure: str, said: bool | None, where: str) -> bool:
        """Whether more of a figure is better, as the study says, or else as is said here.

        Raises:
            ConfigError: nobody reports it, or the two are at odds.
        """
        if self.figures is None:
            return True if said is None else said
        return self.figures.direction(figure, said, f"suite '{self.name}': {where}")

    def claimed(self, claim: ClaimConfig) -> tuple[str, bool]:
        """The figure that a claim is about, and whether more of it is better.

        Raises:
            ConfigError: nobody reports it, or the suite says it the other way round than its study.
        """
        if not claim.metric:
            return self.config.metric, self.higher_is_better
        said = None if claim.lower_is_better is None else not claim.lower_is_better
        where = f"the claim that {claim.better} is better than {claim.than}"
        return claim.metric, self.direction(claim.metric, said, where)

    def key(self, cell: Cell) -> str:
        """Hex digest of everything that decides a cell's outcome but the code."""
        settings = {**self.config.settings, **cell.case}
        what = [self.config.study, settings, cell.method.name, cell.method.options, cell.seed]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()

    def folder(self, cell: Cell) -> str:
        """A cell's folder, for people to find and unlike all others."""
        words = [cell.title, cell.method.title, str(cell.seed)]
        return f"{slug(' '.join(words))[:80]}-{self.key(cell)[:8]}"

    def check(self) -> None:
        """Raise ConfigError for what cannot be, PluginError for a study that is not there."""
        config = self.config
        titles = [method.title for method in self.methods]
        if not titles or not config.seeds or not all(map(_is_list, config.vary.values())):
            raise ConfigError(f"suite '{self.name}': methods, seeds and every entry of vary must be lists of some")
        if doubled := sorted({title for title in titles if titles.count(title) > 1}):
            raise ConfigError(f"suite '{self.name}': two methods are called '{doubled[0]}'; give one a label")
        named = [config.reference, *(name for claim in config.claims for name in (claim.better, claim.than))]
        for name in filter(None, named):
            _known(name, titles, f"suite '{self.name}': reference and claims name methods")
        for case in self.cases:
            known = self.study(case).methods()
            for method in self.methods:
                _known(method.name, list(known), f"suite '{self.name}': study '{config.study}' runs methods")
        self._check_figures()

    def _check_figures(self) -> None:
        """Whatever figure is named is reported by somebody, and turned as the study turns it."""
        assert isinstance(self.higher_is_better, bool)
        for claim in self.config.claims:
            self.claimed(claim)
        if self.figures is None:
            return
        for case, methods in self.config.bounds.items():
            for method, bounds in methods.items():
                for figure in bounds:
                    self.figures.find(figure, f"suite '{self.name}': bounds.{case}.{method}")


def case_title(case: Mapping[str, Any]) -> str:
    """``sea``, or ``sea, 10`` where two settings vary; empty for the only case."""
    return ", ".join(str(value) for value in case.values())


def slug(words: str) -> str:
    """Words as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def library() -> list[str]:
    """Names of the suites that come with Atoll."""
    return sorted(path.stem for path in LIBRARY.glob("*.yaml"))


def read_suite(spec: str, overrides: Sequence[str] = (), *, quick: bool = False) -> Suite:
    """A suite by name or by file, checked.

    Args:
        spec: A name of the library, or the path of a YAML file.
        overrides: ``key=value`` that go before the file's, as for ``atoll run``.
        quick: Take the file's quick form.

    Raises:
        ConfigError: no such suite, or one that cannot be run.
        PluginError: its study is not there.
    """
    path = Path(spec)
    if path.suffix not in (".yaml", ".yml"):
        _known(spec, library(), "suites are files, or names")
        path = LIBRARY / f"{spec}.yaml"
    suite = Suite(name=path.stem, config=read_config(SuiteConfig, path, []))
    suite.check()
    config = read_config(SuiteConfig, path, overrides)
    if quick:
        config = _quick(config, path.stem)
    asked = Suite(name=f"{path.stem}-quick" if quick else path.stem, config=config)
    asked = replace(asked, config=_without_absent(asked))
    asked.check()
    return asked


def _quick(config: SuiteConfig, name: str) -> SuiteConfig:
    if not config.quick:
        raise ConfigError(f"suite '{name}' has no quick form")
    for key in config.quick:
        _known(key, list(_QUICK), f"suite '{name}': quick has entries")
    return replace(config, **{**config.quick, "settings": {**config.settings, **config.quick.get("settings", {})}})


def _without_absent(suite: Suite) -> SuiteConfig:
    """Without claims about methods that were left out."""
    titles = {method.title for method in suite.methods}
    claims = [claim for claim in suite.config.claims if {claim.better, claim.than} <= titles]
    reference = suite.config.reference if suite.config.reference in titles else ""
    return replace(suite.config, claims=claims, reference=reference)


def _method(given: Any, place: int) -> MethodConfig:
    if isinstance(given, str):
        return MethodConfig(given)
    try:
        made = decode(given, MethodConfig, f"methods[{place}]")
    except DataError as error:
        raise ConfigError(f"suite: {error}") from error
    assert isinstance(made, MethodConfig)
    return made


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _known(name: str, known: Sequence[str], where: str) -> None:
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise ConfigError(f"{where}, and '{name}' is none: {hint}there are {', '.join(known)}")
