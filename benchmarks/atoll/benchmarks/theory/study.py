"""Study ``moe-theory``: what a single expert, a mixture and oracle routing forget in the setting of the theory."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, final

import numpy as np

from atoll.benchmarks.suites.figure import Figures, higher, lower, neither
from atoll.benchmarks.suites.outcome import Curve, Outcome
from atoll.benchmarks.suites.study import Study, Work
from atoll.benchmarks.theory.formula import expected_forgetting, expected_generalization_error
from atoll.benchmarks.theory.router import ByTask, Chooser, Router, RouterConfig
from atoll.benchmarks.theory.simulate import Course, MakeChooser, simulate
from atoll.benchmarks.theory.world import Floats, Setting, World
from atoll.config.decode import decode
from atoll.errors import ConfigError, DataError
from atoll.federation.units import Choice

SINGLE, MIXTURE, ORACLE = "single", "moe", "oracle"
_LOOKS = 40


@final
@dataclass(frozen=True, kw_only=True)
class MoeTheory(Study):
    """Streams of linear-regression tasks (Li et al., arXiv 2406.16437): forgetting, generalization error and purity.

    A cell is ``streams`` independent streams side by side. Figures without a suffix are medians over them, for a few
    streams go very differently from the rest; those with ``_mean`` and the curves are means, as formulas are.

    Attributes:
        streams: In a cell.
        rounds: T.
        tasks: N.
        clusters: K.
        signal: Mean length of the signals, in units of √d.
    """

    name: ClassVar[str] = "moe-theory"
    streams: int = 30
    rounds: int = 2000
    tasks: int = 6
    clusters: int = 3
    signal: float = 1.0

    def setting(self) -> Setting:
        """The setting; raises ConfigError for what cannot be."""
        if self.streams < 2:
            raise ConfigError(f"moe-theory: streams is {self.streams}; a spread over streams needs at least 2")
        return Setting(rounds=self.rounds, tasks=self.tasks, clusters=self.clusters, signal=self.signal)

    def methods(self) -> Mapping[str, str]:
        """The three."""
        return {
            SINGLE: "one expert for everything, beside its closed forms",
            MIXTURE: "linear experts and a linear router; options are RouterConfig's: experts, stop, locality, …",
            ORACLE: "an expert for each cluster, and the right one every time",
        }

    def figures(self) -> Figures:
        """Errors, how pure the routing is, and what closed forms say."""
        return Figures(
            metrics=(
                *lower("forgetting", "forgetting_mean", "generalization_error", "generalization_error_mean"),
                *higher("purity"),
                *neither("stopped_share", "stopped_round", "*_expected", "*_standard_errors"),
            )
        )

    def run(self, work: Work) -> Outcome:
        """One method on the streams of a seed, which are the same for all methods."""
        setting = self.setting()
        looks = looks_of(setting.rounds)
        make = chooser_of(work.method, self.streams)
        course = simulate(setting, make, streams=self.streams, seed=work.seed, looks=looks)
        expected = expected_of(course, setting) if work.method.name == SINGLE else {}
        return Outcome(metrics={**_figures(course), **_beside(course, expected)}, curves=_curves(course, expected))

    def pictures(self, seed: int, folder: Path) -> Mapping[str, Path]:
        """The closed forms over the simulation of a single expert."""
        from atoll.benchmarks.theory.figure import draw_single

        path = draw_single(self.setting(), self.streams, seed, folder / "single-expert.png")
        return {"A single expert: closed forms over the simulation": path}


def looks_of(rounds: int) -> list[int]:
    """Rounds at which curves are measured: dense at first, and the last one; from the second, as forgetting is."""
    return sorted({round(float(value)) for value in np.geomspace(2, rounds, _LOOKS)})


def chooser_of(method: Choice, streams: int) -> MakeChooser:
    """Who chooses the expert under a method.

    Raises:
        ConfigError: another method, or options that it does not have.
    """
    if method.name == MIXTURE:
        try:
            config: RouterConfig = decode(method.options, RouterConfig, "moe")
        except DataError as error:
            raise ConfigError(f"moe-theory: {error}") from error
        return partial(_router, config, streams)
    if method.options:
        raise ConfigError(f"moe-theory: method '{method.name}' has no options; there is {next(iter(method.options))!r}")
    if method.name == SINGLE:
        return lambda world, random: ByTask(np.zeros_like(world.cluster_N))
    if method.name == ORACLE:
        return lambda world, random: ByTask(world.cluster_N, int(world.cluster_N.max()) + 1)
    raise ConfigError(f"moe-theory: no method '{method.name}'; there are {SINGLE}, {MIXTURE}, {ORACLE}")


def _router(config: RouterConfig, streams: int, world: World, random: np.random.Generator) -> Chooser:
    return Router(config, streams, world.truths_SND.shape[-1], random)


def expected_of(course: Course, setting: Setting) -> dict[str, Floats]:
    """What the closed forms of a single expert say of every stream at every look, by figure [S, L]."""
    remains = 1 - setting.samples / setting.dimension
    size_S, spread_S = course.world.size, course.world.spread
    forms = {"forgetting": expected_forgetting, "generalization_error": expected_generalization_error}
    return {
        name: np.stack([form(number, remains, size_S, spread_S) for number in course.rounds], axis=1)
        for name, form in forms.items()
    }


def standard_errors(found_S: Floats, expected_S: Floats) -> float:
    """By how many standard errors the mean over streams is above what is expected of the same streams."""
    off_S = found_S - expected_S
    return float(off_S.mean() / (off_S.std(ddof=1) / np.sqrt(len(off_S))))


def _found(course: Course) -> dict[str, Floats]:
    return {"forgetting": course.forgetting_SL, "generalization_error": course.error_SL}


def _figures(course: Course) -> dict[str, float]:
    figures = {"purity": float(np.median(course.purity_S))}
    for name, found_SL in _found(course).items():
        figures |= {name: float(np.median(found_SL[:, -1])), f"{name}_mean": float(found_SL[:, -1].mean())}
    if (stopped := course.stopped[course.stopped > 0]).size:
        figures |= {"stopped_share": stopped.size / course.stopped.size, "stopped_round": float(np.median(stopped))}
    return figures


def _beside(course: Course, expected: Mapping[str, Floats]) -> dict[str, float]:
    figures = {}
    for name, expected_SL in expected.items():
        figures[f"{name}_expected"] = float(expected_SL[:, -1].mean())
        figures[f"{name}_standard_errors"] = standard_errors(_found(course)[name][:, -1], expected_SL[:, -1])
    return figures


def _curves(course: Course, expected: Mapping[str, Floats]) -> dict[str, Curve]:
    lines = {**_found(course), **{f"{name}_expected": values for name, values in expected.items()}}
    x = [float(number) for number in course.rounds]
    return {name: Curve(along="round", x=x, y=values.mean(0).tolist()) for name, values in lines.items()}
