"""Study ``mixture-speed``: tokens a second and peak memory of a mixture, beside peers and the dense anchor."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, final

from atoll.benchmarks.speed.case import Case, Form
from atoll.benchmarks.speed.methods import ATOLL, DENSE, METHODS, peers
from atoll.benchmarks.speed.paired import Spread
from atoll.benchmarks.speed.peak import memory_of
from atoll.benchmarks.speed.timing import Timed, threads, time_case
from atoll.benchmarks.suites.figure import Figures, higher, lower
from atoll.benchmarks.suites.outcome import PEAK_MEMORY, SECONDS, Outcome
from atoll.benchmarks.suites.study import Study, Work
from atoll.errors import ConfigError

BATCHED = "transformers-batched_mm"
"""Left out of Atoll's own cell: it copies a set of matrices for every token, and would fill the memory."""


@final
@dataclass(frozen=True, kw_only=True)
class MixtureSpeed(Form, Study):
    """One method in turns with the anchor and Atoll in one process; its memory in a process of its own.

    Figures: ``tokens_per_second``; ``ratio_to_dense`` and, for ``atoll``, ``ratio_to_PEER`` for every peer that does
    what the case asks, for peers ``ratio_to_atoll``: how many times as fast, the median over rounds of the ratio within
    each, with its quartiles as ``…/low`` and ``…/high``; ``held_bytes`` and ``step_bytes``, what the model holds when
    it is ready and the most in two steps. See :class:`Form` for the fields that are not named here.

    Attributes:
        repeats: Rounds.
        threads: Of torch.
    """

    name: ClassVar[str] = "mixture-speed"
    repeats: int = 7
    threads: int = 1

    def methods(self) -> Mapping[str, str]:
        """Atoll, the anchor and the peers."""
        return METHODS

    def figures(self) -> Figures:
        """Tokens a second, by themselves and of what others reach, and bytes."""
        return Figures(
            metrics=(
                *higher("tokens_per_second", "ratio_to_dense", "ratio_to_atoll", "ratio_to_*", "*/low", "*/high"),
                *lower("held_bytes", "step_bytes"),
            )
        )

    def run(self, work: Work) -> Outcome:
        """Check, time, weigh.

        Raises:
            ConfigError: a method that there is not, or that cannot do what the case asks; options, which none has.
            MixtureError: two implementations that should compute the same do not.
        """
        return self.run_by(work, time.perf_counter)

    def run_by(self, work: Work, clock: Callable[[], float]) -> Outcome:
        """:meth:`run` by another clock."""
        method = work.method.name
        if method not in METHODS:
            raise ConfigError(f"mixture-speed has no method '{method}': there are {', '.join(METHODS)}")
        if work.method.options:
            raise ConfigError(f"mixture-speed: {method} has no options, and here are {', '.join(work.method.options)}")
        case = self.case(work.seed, work.device)
        began = time.monotonic()
        work.tell(0, 2, "timing")
        with threads(self.threads):
            timed = time_case(case, self._beside(case, method), self.repeats, clock)
        work.tell(1, 2, "memory")
        memory = memory_of(case, method, self.threads)
        work.tell(2, 2, "")
        return Outcome(
            metrics={**_figures(timed, method), "held_bytes": memory.held, "step_bytes": memory.step},
            costs={PEAK_MEMORY: memory.peak, SECONDS: time.monotonic() - began},
        )

    def case(self, seed: int, device: str) -> Case:
        """What is run."""
        chosen: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(Form)}
        return Case(**chosen, seed=seed, device=device)

    def _beside(self, case: Case, method: str) -> list[str]:
        if method == DENSE:
            return []
        return [peer for peer in peers(case) if peer != BATCHED] if method == ATOLL else [method]


def _figures(timed: Timed, method: str) -> dict[str, float]:
    found = {"tokens_per_second": timed.tokens_per_second(method), **_named("ratio_to_dense", timed.to_dense(method))}
    for peer in timed.partner:
        if method == ATOLL:
            found |= _named(f"ratio_to_{peer}", timed.to_peer(peer))
        else:
            found |= _named("ratio_to_atoll", timed.to_atoll(peer))
    return found


def _named(name: str, ratio: Spread) -> dict[str, float]:
    return {name: ratio.median, f"{name}/low": ratio.low, f"{name}/high": ratio.high}
