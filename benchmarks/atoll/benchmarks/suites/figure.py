"""Which figures a study reports, and which way each is better: said once, by the study."""

import difflib
import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from atoll.benchmarks.suites.outcome import COSTS, Outcome
from atoll.continual.summary import FIGURES, higher_is_better
from atoll.errors import ConfigError, DataError
from atoll.plugins import load, names


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that a study reports.

    Attributes:
        name: As in the outcome; ``*`` stands for a name that the data decides, such as a silo's.
        higher_is_better: Which way; ``None`` where neither is, as for a count.
    """

    name: str
    higher_is_better: bool | None


@dataclass(frozen=True)
class Figures:
    """What a study reports.

    Attributes:
        metrics: Of a cell as a whole.
        streams: What is measured silo by silo and stage by stage; a stream's summaries, ``METRIC/average_final`` and so
            on, follow from it.
    """

    metrics: tuple[Figure, ...] = ()
    streams: tuple[Figure, ...] = ()

    def __iter__(self) -> Iterator[Figure]:
        """All that is one number: metrics, summaries of streams, and costs, which are better when they are lower."""
        yield from self.metrics
        for stream in self.streams:
            for name in FIGURES:
                higher = stream.higher_is_better
                yield Figure(f"{stream.name}/{name}", None if higher is None else higher_is_better(name, higher))
        yield from (Figure(name, False) for name in COSTS)

    def find(self, name: str, where: str) -> Figure:
        """The figure of this name, one that is named in full before one with ``*``.

        Raises:
            ConfigError: nobody reports it; the message lists what there is.
        """
        if any(fnmatch.fnmatchcase(name, each.name) for each in self):
            return _closest(self, name)
        known = [each.name for each in self]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise ConfigError(f"{where}: nobody reports a figure '{name}': {hint}there are {', '.join(known)}")

    def direction(self, name: str, said: bool | None, where: str) -> bool:
        """Whether more of a figure is better.

        Args:
            name: The figure.
            said: What a suite or a command says of it; ``None`` for nothing.
            where: Of that, for messages.

        Raises:
            ConfigError: nobody reports it, it has no better side, or what is said is the other way round.
        """
        figure = self.find(name, where)
        if figure.higher_is_better is None:
            raise ConfigError(f"{where}: of the figure '{name}' neither more nor less is better: name another")
        if said is not None and said != figure.higher_is_better:
            more, less = ("higher", "lower") if figure.higher_is_better else ("lower", "higher")
            raise ConfigError(f"{where}: the figure '{name}' is better when it is {more}, and it is said to be {less}")
        return figure.higher_is_better

    def check(self, study: str, outcome: Outcome) -> None:
        """That an outcome holds nothing that the study does not say it reports.

        Raises:
            DataError: it does, or a stream is turned the other way.
        """
        for kind, declared, found in (
            ("figure", self.metrics, outcome.metrics),
            ("stream", self.streams, outcome.streams),
        ):
            odd = [name for name in found if not any(fnmatch.fnmatchcase(name, each.name) for each in declared)]
            if odd:
                raise DataError(f"study '{study}' reports the {kind} '{odd[0]}', which it does not declare")
        for name, matrix in outcome.streams.items():
            if _closest(self.streams, name).higher_is_better != matrix.higher_is_better:
                raise DataError(f"study '{study}' declares the stream '{name}' the other way round than it reports it")


def _closest(figures: Iterable[Figure], name: str) -> Figure:
    """The figure of a name that is there."""
    return min((each for each in figures if fnmatch.fnmatchcase(name, each.name)), key=lambda each: "*" in each.name)


def higher(*named: str) -> tuple[Figure, ...]:
    """Figures of which more is better."""
    return tuple(Figure(name, True) for name in named)


def lower(*named: str) -> tuple[Figure, ...]:
    """Figures of which less is better."""
    return tuple(Figure(name, False) for name in named)


def neither(*named: str) -> tuple[Figure, ...]:
    """Figures that only say what was done."""
    return tuple(Figure(name, None) for name in named)


def workload_streams(workloads: Iterable[str] = ()) -> Figures:
    """Loss and scores of the workloads' evaluation, silo by silo; of all registered ones where none is named."""
    found: dict[str, bool] = {"loss": False}
    for name in workloads or names("atoll.workloads"):
        kind = load("atoll.workloads", name)
        found |= {score: kind.higher_is_better(score) for score in kind.score_names}
    if "auroc" in found:  # of binary classes, which only the data tells
        found["tpr"] = True
    found |= {f"{score}@*": better for score, better in list(found.items()) if "@" not in score}  # of groups
    return Figures(streams=tuple(Figure(name, better) for name, better in found.items()))


def with_metrics(figures: Figures, *metrics: Sequence[Figure]) -> Figures:
    """Further figures of a cell as a whole beside those there are."""
    return Figures(metrics=(*figures.metrics, *(each for some in metrics for each in some)), streams=figures.streams)


def directions(figures: Figures) -> Mapping[str, str]:
    """For people: by figure, ``higher``, ``lower`` or a dash."""
    words = {True: "higher", False: "lower", None: "–"}
    return {each.name: words[each.higher_is_better] for each in figures}
