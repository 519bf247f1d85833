"""Timings of one case: the anchor, Atoll and peers in turns, in one process."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch

from atoll.benchmarks.speed.atoll_models import dense_runner
from atoll.benchmarks.speed.case import Case
from atoll.benchmarks.speed.contenders import atoll_alone, pair
from atoll.benchmarks.speed.methods import DENSE
from atoll.benchmarks.speed.paired import Spread, in_turns, spread


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Timed:
    """What one case took.

    Attributes:
        seconds: Of every round, by runner.
        partner: By peer, the name of Atoll's runner that computes the same.
        tokens: In a step.
    """

    seconds: Mapping[str, Sequence[float]]
    partner: Mapping[str, str]
    tokens: int

    def tokens_per_second(self, name: str) -> float:
        """Median over rounds."""
        return self.tokens / median(self.seconds[name])

    def to_dense(self, name: str) -> Spread:
        """How many times as fast as the anchor without experts."""
        return spread(self.seconds, name, DENSE)

    def to_peer(self, peer: str) -> Spread:
        """How many times as fast as a peer Atoll is, with the same mathematics."""
        return spread(self.seconds, self.partner[peer], peer)

    def to_atoll(self, peer: str) -> Spread:
        """The other way round."""
        return spread(self.seconds, peer, self.partner[peer])


def time_case(
    case: Case, methods: Sequence[str], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> Timed:
    """Check, and time in turns: the anchor, Atoll, and each peer with the mixture that does the same.

    Args:
        case: What is done.
        methods: Peers.
        repeats: Rounds.
        clock: Seconds.

    Raises:
        ConfigError: a peer cannot do what the case asks.
        MixtureError: two that should compute the same do not.
    """
    dense = dense_runner(case)
    ids_BS = case.tokens(case.model())
    atoll = atoll_alone(case, ids_BS)
    pairs = {method: pair(case, method, atoll, ids_BS) for method in methods}
    runners = [dense, atoll, *(one for each in pairs.values() for one in (each.theirs, each.ours))]
    steps = {runner.name: partial(runner.step, ids_BS) for runner in runners}
    seconds = in_turns(steps, repeats, torch.device(case.device), clock)
    partner = {method: each.ours.name for method, each in pairs.items()}
    return Timed(seconds=seconds, partner=partner, tokens=ids_BS.numel())


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use so many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
