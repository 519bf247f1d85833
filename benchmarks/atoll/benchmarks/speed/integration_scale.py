"""Study ``integration-scale``: what integrating and using very many experts costs, router by router."""

import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from atoll.benchmarks.speed.peak import forget_highest, highest
from atoll.benchmarks.speed.timing import threads
from atoll.benchmarks.speed.tiny_packages import TinyExperts, ledger_of
from atoll.benchmarks.suites.figure import Figures, lower
from atoll.benchmarks.suites.outcome import PEAK_MEMORY, SECONDS, Outcome
from atoll.benchmarks.suites.study import Study, Work
from atoll.coordinator.assemble import assemble
from atoll.coordinator.permitted import Permitted
from atoll.errors import ConfigError
from atoll.federation.units import Choice
from atoll.mixture import Mixture
from atoll.plugins import names
from atoll.releases.integration import integrate
from atoll.releases.opening import OpenRelease, open_release
from atoll.testing import toy_anchor

_FEW = 3
"""Owners in a small entitlement."""


@dataclass
class Watch:
    """Seconds of named pieces of work."""

    clock: Callable[[], float]
    found: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def over(self, what: str) -> Iterator[None]:
        """Time the block once."""
        began = self.clock()
        yield
        self.found[what] = self.clock() - began

    def median(self, what: str, work: Callable[[], object], repeats: int) -> None:
        """Time some work several times, after one time that does not count."""
        work()
        taken = []
        for _ in range(repeats):
            began = self.clock()
            work()
            taken.append(self.clock() - began)
        self.found[what] = statistics.median(taken)


_WORK = (
    *("pack", "assemble", "open", "integrate", "restrict", "mask"),
    *("permitted", "route", "answer_all", "answer_few"),
)
_SIZES = ("package_bytes", "release_bytes", "mixture_bytes")


@final
@dataclass(frozen=True, kw_only=True)
class IntegrationScale(Study):
    """Tiny experts of one kind, as packages on disk, become a release, which is opened and used.

    The method is the router. Seconds of each piece of work, as ``…_seconds``: ``pack`` (all packages written, signed
    and verified), ``assemble`` (all verified, integrated, written as a release), ``open`` (read back from disk),
    ``integrate`` (the mixture of packages that are in memory), ``restrict`` (a mixture without half of them), ``mask``
    (the entitlement of half of them), ``permitted`` (who may answer, by the ledger), ``route`` (one site's routing of
    all tokens), ``answer_all`` and ``answer_few`` (a forward pass with everyone entitled, and with three). Bytes:
    ``package_bytes`` (of one), ``release_bytes``, ``mixture_bytes`` (all tensors that the mixture and its members
    hold, the anchor's among them).

    Attributes:
        kind: Of the experts.
        experts: How many.
        batch: Samples in a forward pass.
        length: Tokens a sample.
        repeats: Of what is quick; medians are reported.
        threads: Of torch.
    """

    name: ClassVar[str] = "integration-scale"
    kind: str = "lora"
    experts: int = 10
    batch: int = 8
    length: int = 64
    repeats: int = 5
    threads: int = 1

    def methods(self) -> Mapping[str, str]:
        """The routers that read text."""
        return {name: f"router {name}" for name in names("atoll.routers") if name != "mobility"}

    def figures(self) -> Figures:
        """Seconds and bytes."""
        return Figures(metrics=lower(*(f"{what}_seconds" for what in _WORK), *_SIZES))

    def run(self, work: Work) -> Outcome:
        """Pack, integrate, use.

        Raises:
            ConfigError: a router that there is not, or fewer than two experts.
        """
        return self.run_by(work, time.perf_counter)

    def run_by(self, work: Work, clock: Callable[[], float]) -> Outcome:
        """:meth:`run` by another clock."""
        if work.method.name not in self.methods():
            raise ConfigError(f"integration-scale has no router '{work.method.name}': {', '.join(self.methods())}")
        if self.experts < 2:
            raise ConfigError(f"integration-scale: experts is {self.experts}; it is at least 2")
        watch, began = Watch(clock), time.monotonic()
        folder = work.folder / "release-in-making"
        shutil.rmtree(folder, ignore_errors=True)  # of a cell that was killed
        forget_highest()
        try:
            with threads(self.threads):
                sizes = self._all(work, folder, watch)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        seconds = {f"{what}_seconds": taken for what, taken in watch.found.items()}
        costs = {PEAK_MEMORY: float(highest()), SECONDS: time.monotonic() - began}
        return Outcome(metrics={**seconds, **sizes}, costs=costs)

    def _all(self, work: Work, folder: Path, watch: Watch) -> dict[str, float]:
        folder.mkdir(parents=True)
        anchor = toy_anchor(folder / "anchor")
        tiny = TinyExperts(anchor, self.kind, work.seed)
        work.tell(0, 3, "packing")
        with watch.over("pack"):
            files = tiny.write(self.experts, folder / "packages")
        chosen = {"integrator": Choice(name="flexolmo"), "router": work.method}
        assemble(files[:1], anchor, folder / "first", keys={}, **chosen)  # what is computed once and cached
        work.tell(1, 3, "integrating")
        with watch.over("assemble"):
            assemble(files, anchor, folder / "release", keys={}, **chosen)
        with watch.over("open"):
            opened = open_release(folder / "release", device=work.device)
        work.tell(2, 3, "answering")
        self._use(opened, folder, watch, work.seed)
        return {
            "package_bytes": statistics.fmean(file.stat().st_size for file in files),
            "release_bytes": float(_bytes_below(folder / "release")),
            "mixture_bytes": float(tensor_bytes(opened.mixture)),
        }

    def _use(self, opened: OpenRelease, folder: Path, watch: Watch, seed: int) -> None:
        mixture, release = opened.mixture, opened.release
        half = release.owners[: self.experts // 2]
        model = opened.anchor.model(device=str(next(mixture.parameters()).device))
        for what, act in (
            ("integrate", lambda: integrate(release, opened.anchor, model, opened.experts)),
            ("restrict", lambda: mixture.restrict(half)),
            ("mask", lambda: mixture.allowed(half)),
        ):
            watch.median(what, act, self.repeats)
        with ledger_of(release, opened.experts, folder / "ledger.db") as ledger:
            watch.median("permitted", Permitted(ledger, release).owners, self.repeats)
        ids_BS = _tokens(opened, self.batch, self.length, seed)
        for what, owners in (("answer_all", None), ("answer_few", release.owners[:_FEW])):
            watch.median(what, lambda owners=owners: answer(mixture, ids_BS, owners), self.repeats)  # type: ignore[misc]
        watch.median("route", _routing(mixture, ids_BS), self.repeats)


@torch.no_grad()
def answer(mixture: Mixture, ids_BS: Tensor, owners: Sequence[str] | None) -> None:
    """One forward pass under an entitlement."""
    with mixture.use(owners):
        mixture(input_ids=ids_BS, use_cache=False)


def tensor_bytes(mixture: nn.Module) -> int:
    """Bytes of all tensors that a mixture and its members hold; what several share counts once."""
    tensors = [*mixture.parameters(), *mixture.buffers()]
    if isinstance(mixture, Mixture):
        tensors += [tensor for member in mixture.members for tensor in member.weights.values()]
    held = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(held.values())


def _routing(mixture: Mixture, ids_BS: Tensor) -> Callable[[], object]:
    """The first site's gate, on states of the right shape."""
    gate = mixture.gates[0]
    width: int = mixture.model.config.hidden_size  # type: ignore[union-attr,assignment]
    states_BSD = torch.randn(*ids_BS.shape, width, generator=torch.Generator().manual_seed(0)).to(ids_BS.device)

    def route() -> None:
        with torch.no_grad(), mixture.use(text_BS=ids_BS):
            gate(states_BSD)

    return route


def _tokens(opened: OpenRelease, batch: int, length: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    ids_BS = torch.randint(0, opened.anchor.architecture.vocabulary or 2, (batch, length), generator=generator)
    return ids_BS.to(next(opened.mixture.parameters()).device)


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
