"""The tables of ``docs/benchmarks/speed.md``, as Markdown: whole models in turns, their memory, and many experts."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch

from atoll.benchmarks.speed.case import ACTIONS, Case
from atoll.benchmarks.speed.integration_scale import IntegrationScale
from atoll.benchmarks.speed.methods import ATOLL, DENSE, peers
from atoll.benchmarks.speed.mixture_speed import BATCHED
from atoll.benchmarks.speed.paired import Spread, in_turns
from atoll.benchmarks.speed.peak import memory_of
from atoll.benchmarks.speed.router_time import routing_step
from atoll.benchmarks.speed.timing import threads, time_case
from atoll.benchmarks.suites.study import Work
from atoll.federation.units import Choice

Tell = Callable[[str], None]
Clock = Callable[[], float]

_SIZES = ((1, 2), (4, 2), (16, 1), (16, 2), (16, 4), (64, 2))
"""Experts, and slots kept for a token."""

_SCALES = (("top-k", 10), ("top-k", 100), ("top-k", 1000), ("domain", 100), ("naive-bayes", 100), ("uniform", 100))
_ROUTERS = ("uniform", "top-k", "domain", "naive-bayes")
_COUNTS = (1, 10, 100, 1000)
_PIECES = (
    "pack",
    "assemble",
    "open",
    "integrate",
    "restrict",
    "mask",
    "permitted",
    "route",
    "answer_few",
    "answer_all",
)


def models(kind: str, action: str, repeats: int, tell: Tell, clock: Clock) -> Iterator[str]:
    """One table of ratios: cases down, peers across."""
    cases = [Case(kind=kind, action=action, experts=experts, chosen=chosen) for experts, chosen in _SIZES]
    yield from _ratios([(case, 1) for case in cases], repeats, tell, clock)


def others(kind: str, repeats: int, tell: Tell, clock: Clock) -> Iterator[str]:
    """The same for two threads, for the shipped anchor, for a Llama, and for a step of generation."""
    case = Case(kind=kind, experts=16)
    cases = [(case, 2), (replace(case, anchor="atoll-3m"), 1), (replace(case, anchor="llama"), 1)]
    yield from _ratios([*cases, (replace(case, batch=8, length=1), 1)], repeats, tell, clock, batched=True)


def memory(kind: str, tell: Tell) -> Iterator[str]:
    """MiB that each method holds when ready, and the most in a step, over what its process had before."""
    yield from _rows(("method", *(f"{action}: held, step" for action in ACTIONS)))
    cases = [Case(kind=kind, experts=64, width=256, hidden=512, action=action) for action in ACTIONS]
    able = {case.action: [ATOLL, DENSE, *(peer for peer in peers(case) if peer != BATCHED)] for case in cases}
    for method in dict.fromkeys(name for names in able.values() for name in names):
        cells = [method]
        for case in cases:
            tell(f"memory of {method}, {case.action}")
            cells.append(_mebibytes(case, method) if method in able[case.action] else "–")
        yield _row(cells)


def scale(kind: str, folder: Path, tell: Tell, most: int) -> Iterator[str]:
    """Milliseconds of each piece of work around very many tiny experts, and bytes."""
    yield from _rows(("router", "experts", *(f"{piece}, ms" for piece in _PIECES), "release, MB", "mixture, MB"))
    for router, experts in _SCALES:
        if experts > most:
            continue
        tell(f"{experts} experts, router {router}")
        study = IntegrationScale(kind=kind, experts=experts)
        found = study.run(Work(method=Choice(name=router), seed=0, folder=folder)).metrics
        pieces = [_milliseconds(found[f"{piece}_seconds"]) for piece in _PIECES]
        sizes = [f"{found[f'{what}_bytes'] / 1e6:.2f}" for what in ("release", "mixture")]
        yield _row([router, f"{experts:,}", *pieces, *sizes])


def routers(repeats: int, tell: Tell, clock: Clock) -> Iterator[str]:
    """Microseconds a token of routing alone: routers down, numbers of experts across."""
    yield from _rows(("router", *(f"{experts:,}" for experts in _COUNTS)))
    tell("routers")
    steps = {(router, experts): routing_step(router, experts) for router in _ROUTERS for experts in _COUNTS}
    tokens = {key: len(step()) for key, step in steps.items()}
    named = {f"{router} {experts}": step for (router, experts), step in steps.items()}
    with threads(1):
        seconds = in_turns(named, repeats, torch.device("cpu"), clock)
    for router in _ROUTERS:
        taken = [median(seconds[f"{router} {experts}"]) / tokens[router, experts] for experts in _COUNTS]
        yield _row([router, *(f"{each * 1e6:.2g}" for each in taken)])


def machine() -> str:
    """Where it was measured."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} of others and this"


def _ratios(
    cases: Sequence[tuple[Case, int]], repeats: int, tell: Tell, clock: Clock, batched: bool = False
) -> Iterator[str]:
    able = [peer for peer in peers(cases[0][0]) if batched or peer != BATCHED]
    heads = ("experts, kept", "anchor", "tokens/s", "atoll / anchor", *(f"atoll / {peer}" for peer in able))
    yield from _rows(heads)
    for case, count in cases:
        few = [peer for peer in able if peer != BATCHED or case.length == 1]
        tell(f"{case.kind}, {case.action}: {case.experts} experts, {case.chosen} kept, {case.anchor}, {count} threads")
        with threads(count):
            timed = time_case(case, few, repeats, clock)
        ratios = [_ratio(timed.to_peer(peer)) if peer in few else "–" for peer in able]
        about = f"{case.anchor}, {count} thread{'s' if count > 1 else ''}, {case.batch} × {case.length} tokens"
        speed = f"{timed.tokens_per_second(ATOLL):,.0f}"
        yield _row([f"{case.experts}, {case.chosen}", about, speed, _ratio(timed.to_dense(ATOLL)), *ratios])


def _ratio(found: Spread) -> str:
    return f"{found.median:.2f} ({found.low:.2f}–{found.high:.2f})"


def _mebibytes(case: Case, method: str) -> str:
    found = memory_of(case, method, 1)
    return f"{found.held / 2**20:.0f}, {found.step / 2**20:.0f}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f}" if seconds >= 0.1 else f"{seconds * 1e3:.2g}"


def _rows(heads: Sequence[str]) -> Iterator[str]:
    yield _row(heads)
    yield _row(["---"] * len(heads))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
