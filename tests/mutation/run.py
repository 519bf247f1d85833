"""How many small faults in critical modules the tests notice: a seeded sample of mutants, by Cosmic Ray.

``make mutants`` runs it, with the tools' own Python; the tests run in ``.venv``. Every mutant is made in a copy of the
working tree. Exits with 1 where too many survive.
"""

import argparse
import ast
import itertools
import json
import os
import queue
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from cosmic_ray import plugins
from cosmic_ray.commands.init import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome
from tests.mutation.statements import Provider

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ROOTS = ("platform", "clients", "strategies", "benchmarks")
STRICT, ALL = 0.95, 0.90
LEFT_OUT = ("RemoveDecorator", "VariableInserter", "VariableReplacer")
"""Operators that are left out: without ``@dataclass`` nothing works, and the others need arguments."""
Span = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Module:
    """A file, and the tests that must notice what is wrong in it."""

    path: str
    tests: tuple[str, ...]
    strict: bool


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant."""

    module: str
    line: int
    operator: str
    killed: bool
    changed: str
    equivalent: str = ""


def modules(only: Sequence[str]) -> tuple[list[Module], dict[str, dict[str, str]]]:
    """The modules of the list, and for each the changes that nobody could observe."""
    told = yaml.safe_load((HERE / "modules.yaml").read_text(encoding="utf-8"))
    found = [
        Module(path, tuple(tests), group == "strict")
        for group in ("strict", "others")
        for path, tests in told[group].items()
    ]
    chosen = [each for each in found if not only or any(name in each.path for name in only)]
    if not chosen:
        sys.exit(f"no module has '{', '.join(only)}' in its path; there are: {', '.join(each.path for each in found)}")
    return chosen, told["equivalent"]


def sample(path: Path, count: int, seed: int) -> list[MutationSpec]:
    """So many mutants of a file, each at another place, the same for the same seed and file."""
    with tempfile.TemporaryDirectory() as folder, use_db(str(Path(folder) / "all.sqlite"), WorkDB.Mode.create) as work:
        init([path], work, {})
        every = [mutation for item in work.work_items for mutation in item.mutations]
    hidden = list(unobserved(ast.parse(path.read_text(encoding="utf-8"))))
    places: dict[Span, list[MutationSpec]] = {}
    for each in every:
        span = (each.start_pos, each.end_pos)
        if is_of_use(each.operator_name.split("/")[1]) and not any(low <= span[0] < high for low, high in hidden):
            places.setdefault(span, []).append(each)
    rng = random.Random(f"{seed} {path.name}")
    chosen = rng.sample(sorted(places), min(count, len(places)))
    return [
        rng.choice(sorted(places[place], key=lambda each: (each.operator_name, each.occurrence))) for place in chosen
    ]


def is_of_use(operator: str) -> bool:
    """Whether an operator makes faults; ``is`` for ``==`` says more of Python's own caches than of a test."""
    identity = operator.endswith(("_Is", "_IsNot")) and "_Is_" not in operator and "_IsNot_" not in operator
    return operator not in LEFT_OUT and not identity


def unobserved(tree: ast.AST) -> Iterator[Span]:
    """Where types, options of decorators and the words of errors are written: no behaviour is decided there."""
    for node in ast.walk(tree):
        parts = [
            getattr(node, "annotation", None),
            getattr(node, "returns", None),
            *getattr(node, "decorator_list", []),
        ]
        if isinstance(node, ast.Raise):
            parts.append(node.exc)
        for part in parts:
            if isinstance(part, ast.expr):
                assert part.end_lineno is not None
                assert part.end_col_offset is not None
                yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)


def copy_tree(folder: Path) -> None:
    """All files that git knows or would take, as they are now."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def command(copy: Path, tests: Sequence[str]) -> str:
    """Runs the tests on a copy, and ends at the first that fails."""
    roots = os.pathsep.join(str(copy / root) for root in ROOTS)
    python = ROOT / os.environ.get("VENV", ".venv") / "bin" / "python"
    place = ["env", "-C", str(copy), f"PYTHONPATH={roots}", "OMP_NUM_THREADS=1", str(python), "-m", "pytest"]
    options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not suite and not slow", "-c", str(copy / "pyproject.toml")]
    return shlex.join([*place, *options, *tests])


def tried(module: Module, spec: MutationSpec, copy: Path, timeout: float) -> Outcome:
    """The outcome of one mutant."""
    result = mutate_and_test([spec], command(copy, module.tests), timeout)
    if result.test_outcome == TestOutcome.INCOMPETENT:
        raise RuntimeError(f"{module.path}: {result.output}")
    lines = [line for line in (result.diff or "").splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    killed = result.test_outcome == TestOutcome.KILLED
    return Outcome(module.path, spec.start_pos[0], spec.operator_name.split("/")[1], killed, "\n".join(lines))


def work(
    jobs: "queue.Queue[tuple[Module, MutationSpec]]", copy: Path, timeout: float, done: list[Outcome], whole: int
) -> None:
    """Try mutants until there are none left."""
    while True:
        try:
            module, spec = jobs.get_nowait()
        except queue.Empty:
            return
        placed = MutationSpec(
            module_path=copy / module.path,
            operator_name=spec.operator_name,
            occurrence=spec.occurrence,
            start_pos=spec.start_pos,
            end_pos=spec.end_pos,
        )
        found = tried(module, placed, copy, timeout)
        done.append(found)
        said = "killed" if found.killed else "SURVIVED"
        print(f"{len(done)}/{whole} {said} {found.module}:{found.line} {found.operator}", flush=True)
        if not found.killed:
            print(found.changed, flush=True)


def check_unchanged(chosen: Sequence[Module], copy: Path) -> None:
    """Exit where a test fails with nothing changed: every mutant would be killed by it."""
    for tests in sorted({each.tests for each in chosen}):
        if subprocess.run(shlex.split(command(copy, tests)), stdout=subprocess.DEVNULL, check=False).returncode:
            sys.exit(f"with nothing changed, a test fails; run: pytest -m 'not suite' {' '.join(tests)}")
        print(f"pass unchanged: {', '.join(tests)}", flush=True)


def report(done: Sequence[Outcome], chosen: Sequence[Module]) -> bool:
    """Whether enough were killed; prints the table."""
    strict = {each.path for each in chosen if each.strict}
    counted = [each for each in done if each.killed or not each.equivalent]
    print(f"\n{'killed':>12}  module")
    for module in chosen:
        mine = [each for each in counted if each.module == module.path]
        print(f"{sum(each.killed for each in mine):>5} of {len(mine):<4} {module.path}")
    enough = True
    for name, share, part in (
        ("strict modules", STRICT, [each for each in counted if each.module in strict]),
        ("all modules", ALL, counted),
    ):
        killed = sum(each.killed for each in part)
        enough = enough and killed >= share * len(part)
        print(f"{name}: {killed} of {len(part)} killed ({killed / max(1, len(part)):.1%}); wanted {share:.0%}")
    return enough


def main() -> None:
    """See --help."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: make mutants MUTANTS='--only ledger --count 20'"
    )
    parser.add_argument("--count", type=int, default=10, help="mutants of each module (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time (default: %(default)s)")
    parser.add_argument("--only", nargs="*", default=[], help="parts of paths of the modules to take (default: all)")
    parser.add_argument(
        "--timeout", type=float, default=300, help="seconds for the tests of one mutant (default: %(default)s)"
    )
    parser.add_argument("--results", type=Path, default=None, help="JSON file to write what became of each")
    asked = parser.parse_args()
    plugins.OPERATOR_PROVIDERS["atoll"] = Provider()
    chosen, equivalent = modules(asked.only)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [Path(folder) / str(number) for number in range(asked.jobs)]
        for copy in copies:
            copy_tree(copy)
        check_unchanged(chosen, copies[0])
        jobs: queue.Queue[tuple[Module, MutationSpec]] = queue.Queue()
        for module, spec in itertools.chain.from_iterable(
            [(module, spec) for spec in sample(ROOT / module.path, asked.count, asked.seed)] for module in chosen
        ):
            jobs.put((module, spec))
        done: list[Outcome] = []
        arguments = (jobs.qsize(),)
        threads = [threading.Thread(target=work, args=(jobs, copy, asked.timeout, done, *arguments)) for copy in copies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if len(done) < arguments[0]:
        sys.exit("a mutant could not be tried; see above")
    known = [
        Outcome(**{**asdict(each), "equivalent": equivalent.get(each.module, {}).get(each.changed, "")})
        for each in done
    ]
    if asked.results is not None:
        asked.results.write_text(json.dumps([asdict(each) for each in known], indent=1), encoding="utf-8")
    sys.exit(0 if report(known, chosen) else 1)


if __name__ == "__main__":
    main()
