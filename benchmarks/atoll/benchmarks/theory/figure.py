"""Draw the theory: closed forms over the simulation, and what stopping the router does; and print a table.

``python -m atoll.benchmarks.theory.figure [--streams 90] [--out docs/images/moe-theory.png]``
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from atoll.benchmarks.theory.simulate import Course, simulate
from atoll.benchmarks.theory.study import MIXTURE, ORACLE, SINGLE, chooser_of, expected_of, looks_of, standard_errors
from atoll.benchmarks.theory.world import Floats, Setting
from atoll.coordinator.stream.drawing import FONT, legend, lines, new_figure, quiet, save
from atoll.federation.units import Choice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EXPERTS = (5, 10)
SIGNALS = (1 / np.sqrt(10), 0.5, 1.0, 1.5, 2.0)
"""In units of √d; the first is a signal of length one."""
_STOPS: dict[str, dict[str, object]] = {
    "never stops": {},
    "stops when converged": {"stop": "converged"},
    "stops after exploration": {"stop": "rounds"},
    "converged, no locality loss": {"stop": "converged", "locality": False},
}
_LABELS = {"forgetting": "forgetting F", "generalization_error": "generalization error G"}


def main() -> None:
    """Simulate, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=90)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/images/moe-theory.png"))
    args = parser.parse_args()
    console = Console(width=150)
    courses = _courses(args.streams, args.seed)
    console.print(_table(courses))
    for name, far in _off(courses[SINGLE]).items():
        console.print(f"{name}, single expert: {far:+.2f} standard errors from its closed form")
    errors = _by_signal(args.streams, args.seed)
    console.print(_signal_table(errors))
    console.print(f"Drawn: {_draw(courses, errors, args.out)}")


def method(experts: int, stop: str) -> Choice:
    """A mixture that stops in one of the ways of the picture."""
    return Choice(name=MIXTURE, options={"experts": experts, **_STOPS[stop]})


def draw_single(setting: Setting, streams: int, seed: int, path: Path) -> Path:
    """The closed forms over the simulation of a single expert; a band is three standard errors.

    Args:
        setting: Sizes and scales.
        streams: How many.
        seed: Of them.
        path: The file.
    """
    course = _run(Choice(name=SINGLE), setting, streams, seed)
    figure = new_figure(4.2)
    _single(figure.subplots(), course, setting)
    return save(figure, path)


def _run(chosen: Choice, setting: Setting, streams: int, seed: int) -> Course:
    looks = looks_of(setting.rounds)
    return simulate(setting, chooser_of(chosen, streams), streams=streams, seed=seed, looks=looks)


def _courses(streams: int, seed: int) -> dict[str, Course]:
    chosen = {SINGLE: Choice(name=SINGLE)}
    chosen |= {f"{experts} experts: {stop}": method(experts, stop) for experts in EXPERTS for stop in _STOPS}
    chosen[ORACLE] = Choice(name=ORACLE)
    return {name: _run(one, Setting(), streams, seed) for name, one in chosen.items()}


def _by_signal(streams: int, seed: int) -> dict[str, list[Floats]]:
    """Generalization error [S] at every length of the signals, by way of stopping."""
    return {
        stop: [_run(method(EXPERTS[0], stop), Setting(signal=s), streams, seed).error_SL[:, -1] for s in SIGNALS]
        for stop in _STOPS
    }


def _off(course: Course) -> dict[str, float]:
    expected = expected_of(course, Setting())
    found = {"forgetting": course.forgetting_SL, "generalization_error": course.error_SL}
    return {_LABELS[name]: standard_errors(found[name][:, -1], expected[name][:, -1]) for name in found}


def _table(courses: Mapping[str, Course]) -> Table:
    table = Table(title=f"Median and quartiles over {len(next(iter(courses.values())).purity_S)} streams")
    for heading in ("method", *_LABELS.values(), "purity", "last update"):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for name, course in courses.items():
        stopped = course.stopped[course.stopped > 0]
        ended = f"{np.median(stopped):.0f}" if stopped.size else "–"
        columns = (course.forgetting_SL[:, -1], course.error_SL[:, -1], course.purity_S)
        table.add_row(name, *map(_quartiles, columns), ended)
    return table


def _signal_table(errors: Mapping[str, list[Floats]]) -> Table:
    table = Table(title=f"Generalization error by length of the signals in √d, {EXPERTS[0]} experts")
    for heading in ("router", *(f"{signal:.2f}" for signal in SIGNALS)):
        table.add_column(heading, justify="left" if heading == "router" else "right")
    for stop, values in errors.items():
        table.add_row(stop, *map(_quartiles, values))
    return table


def _quartiles(values: Floats) -> str:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.3f} [{low:.2f}, {high:.2f}]"


def _draw(courses: Mapping[str, Course], errors: Mapping[str, list[Floats]], path: Path) -> Path:
    figure = new_figure(9.0)
    (first, second), (third, fourth) = figure.subplots(2, 2)
    _single(first, courses[SINGLE], Setting())
    for axes, experts in ((second, EXPERTS[0]), (third, EXPERTS[1])):
        found = {stop: courses[f"{experts} experts: {stop}"] for stop in _STOPS}
        axes.set_title(f"{experts} experts: median generalization error", size=FONT, loc="left")
        for stop, course in found.items():
            _line(axes, stop, np.array(course.rounds), np.median(course.error_SL, axis=0))
        axes.set_xscale("log")
        axes.set_xlabel("round", size=FONT)
    fourth.set_title(f"{EXPERTS[0]} experts, by the signals' length", size=FONT, loc="left")
    for stop, values in errors.items():
        _line(fourth, stop, np.array(SIGNALS), np.array([np.median(value) for value in values]))
    fourth.set_xlabel("mean length of the signals, in √d", size=FONT)
    for axes in (second, third, fourth):
        axes.set_ylim(bottom=0)
        quiet(axes)
    legend(figure, _STOPS)
    return save(figure, path)


def _line(axes: "Axes", stop: str, x: Floats, y: Floats) -> None:
    look, every = lines(_STOPS)[stop], 1 if len(x) == len(SIGNALS) else 3
    axes.plot(x, y, color=look.colour, linestyle=look.style, marker=look.marker, markersize=4, markevery=every)


def _single(axes: "Axes", course: Course, setting: Setting) -> None:
    expected = expected_of(course, setting)
    for name, found_SL in (("forgetting", course.forgetting_SL), ("generalization_error", course.error_SL)):
        mean, error = found_SL.mean(0), found_SL.std(0, ddof=1) / np.sqrt(len(found_SL))
        colour = "#d55e00" if name == "forgetting" else "#0072b2"
        axes.fill_between(course.rounds, mean - 3 * error, mean + 3 * error, color=colour, alpha=0.2, linewidth=0)
        axes.plot(course.rounds, mean, "o", color=colour, markersize=3, label=f"{_LABELS[name]}, simulated")
        axes.plot(course.rounds, expected[name].mean(0), color=colour, label=f"{_LABELS[name]}, closed form")
    axes.set_title("One expert: mean, three standard errors, closed form", size=FONT, loc="left")
    axes.set_xscale("log")
    axes.set_xlabel("round", size=FONT)
    axes.legend(frameon=False, fontsize=FONT - 2)
    quiet(axes)


if __name__ == "__main__":
    main()
