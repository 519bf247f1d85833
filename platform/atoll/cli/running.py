"""``atoll demo`` and ``atoll run``: an embedded federation with a progress bar for every silo."""

import logging
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler

from atoll.cli.progress import shown_progress
from atoll.config import read_config
from atoll.coordinator.config import RunConfig
from atoll.coordinator.demo import demo_config
from atoll.coordinator.report.terminal import (
    conclusions,
    left_table,
    results_table,
    unlearning_table,
    withdrawal_table,
)
from atoll.coordinator.run import Outcome, execute
from atoll.coordinator.stream.tables import withdrawal_sentences
from atoll.coordinator.stream.terminal import stream_tables
from atoll.coordinator.tracking import ui_command

console = Console()


def run_config(path: Path, overrides: Sequence[str], retrain: Sequence[str] = ()) -> None:
    """``atoll run``."""
    config = read_config(RunConfig, path, overrides)
    command = shlex.join(["atoll", "run", str(path), *overrides])
    if config.stream.on:
        _run_stream(config, command, retrain)
    else:
        _run(config, command, retrain)


def run_demo(*, quick: bool, anchor: str, output: Path | None, seed: int, overrides: Sequence[str]) -> None:
    """``atoll demo``."""
    name = "demo-" + ("quick-" if quick else "") + Path(anchor).name
    folder = output or Path("atoll-runs") / (name if not seed else f"{name}-seed{seed}")
    console.print("Preparing the text of four institutions, from packages…")
    config = demo_config(folder, quick=quick, anchor=anchor, seed=seed, progress=console.print)
    if overrides:
        config = read_config(RunConfig, _saved(config, folder), overrides)
    command = shlex.join(["atoll", "demo", *["--quick"] * quick, "--anchor", anchor, "--seed", str(seed), *overrides])
    _run(replace(config, output=str(folder)), command)


def _saved(config: RunConfig, folder: Path) -> Path:
    from atoll.config import to_yaml

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "demo.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")
    return path


def _run(config: RunConfig, command: str, retrain: Sequence[str] = ()) -> None:
    config.check()
    began = time.monotonic()
    with _progress([silo.name for silo in config.silos]) as on_progress:
        outcome = execute(config, command=command, on_progress=on_progress, retrain=retrain)
    _show(outcome, time.monotonic() - began)


def _run_stream(config: RunConfig, command: str, retrain: Sequence[str]) -> None:
    from atoll.coordinator.stream.run import execute_stream

    config.check()
    began = time.monotonic()
    bars = [silo.name for silo in config.silos] + (["baselines"] if config.stream.baselines else [])
    with _progress(bars) as on_progress:
        outcome = execute_stream(config, command=command, on_progress=on_progress, retrain=retrain)
    console.print()
    for table in stream_tables(outcome.results):
        console.print(table)
    if outcome.results.withdrawal is not None:
        for sentence in withdrawal_sentences(outcome.results.withdrawal):
            console.print(sentence, markup=False, highlight=False)
    for silo, reason in outcome.results.failures.items():
        console.print(f"[yellow]left out:[/] {silo}: {reason}", highlight=False)
    _leave(outcome.results.peak_memory_bytes, time.monotonic() - began, outcome.report, outcome.release, outcome.folder)


def _show(outcome: Outcome, seconds: float) -> None:
    console.print()
    console.print(results_table(outcome.results))
    withdrawal = withdrawal_table(outcome.results)
    if withdrawal is not None:
        console.print(withdrawal)
    if (gone := outcome.results.withdrawal) is not None:
        console.print(unlearning_table(gone.unlearning, gone.owner))
    console.print(left_table(outcome.results))
    for sentence in conclusions(outcome.results):
        console.print(sentence, markup=False, highlight=False)
    for silo in outcome.results.silos:
        if silo.status != "ok":
            console.print(f"[yellow]left out:[/] {silo.name}: {silo.failure}", highlight=False)
    _leave(outcome.results.peak_memory_bytes, seconds, outcome.report, outcome.release, outcome.folder)


def _leave(peak_bytes: int, seconds: float, report: Path, release: Path, folder: Path) -> None:
    """Where to look next."""
    memory = peak_bytes / 2**30
    console.print(f"Took {seconds / 60:.1f} minutes; all processes together held at most {memory:.1f} GiB.")
    console.print(f"Report:  {report}", soft_wrap=True)
    console.print(f"Release: {release}", soft_wrap=True)
    console.print(f"Tracked: {ui_command(folder)}", soft_wrap=True)


@contextmanager
def _progress(silos: Sequence[str]) -> Iterator[Callable[[str, int, int, str], None]]:
    """Shows how far every silo is, and what is logged; a silo has one thing to do at a time."""
    handler = RichHandler(console=console, show_path=False, show_level=False, markup=False, log_time_format="%H:%M:%S")
    log = logging.getLogger("atoll")
    before = (log.level, log.propagate)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        with shown_progress(console, silos) as shown:

            def on_progress(silo: str, done: int, total: int, note: str) -> None:
                if silo in silos:
                    shown.show(silo, done, total, note)

            yield on_progress
    finally:
        log.removeHandler(handler)
        log.setLevel(before[0])
        log.propagate = before[1]
