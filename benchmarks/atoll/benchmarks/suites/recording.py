"""``python -m atoll.benchmarks.suites.recording SUITE FIGURE…``: bounds around what a finished suite found, to be put
into its file, with where they come from.
"""

import argparse
import sys
from pathlib import Path

import yaml

from atoll.benchmarks.provenance import provenance
from atoll.benchmarks.suites.bounds import recorded
from atoll.benchmarks.suites.record import SuiteFolder
from atoll.benchmarks.suites.suite import read_suite
from atoll.errors import AtollError, ConfigError


def main() -> None:
    """Print YAML."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", help="a name of `atoll bench list`, or a YAML file, all of whose cells are done")
    parser.add_argument("figures", nargs="+", help="what is guarded, such as accuracy/average_final")
    parser.add_argument("--work", type=Path, default=Path("atoll-runs/bench"))
    args = parser.parse_args()
    try:
        print(bounds_yaml(args.suite, args.figures, args.work), end="")
    except AtollError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def bounds_yaml(spec: str, figures: list[str], work: Path) -> str:
    """The entries ``bounds_origin`` and ``bounds``.

    Raises:
        ConfigError: cells are missing, or none has one of the figures.
    """
    suite = read_suite(spec)
    folder = SuiteFolder(work / suite.name, suite)
    done = folder.done()
    if len(done) < len(suite.cells):
        raise ConfigError(f"{len(suite.cells) - len(done)} cells of suite '{suite.name}' are not done in {work}")
    known = {name for one in done for name in one.figures}
    if unknown := sorted(set(figures) - known):
        raise ConfigError(f"suite '{suite.name}' has no figure '{unknown[0]}'; there are {', '.join(sorted(known))}")
    commits = ", ".join(sorted({one.origin.get("commit", "") for one in done}))
    seeds = ", ".join(map(str, suite.config.seeds))
    command = f"python -m atoll.benchmarks.suites.recording {spec} {' '.join(figures)}"
    machine = provenance()["machine"]
    origin = f"{command}, after `atoll bench run {spec}` on commit {commits}, seeds {seeds}, {machine}"
    made = {"bounds_origin": origin, "bounds": recorded(suite, done, figures)}
    return yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)


if __name__ == "__main__":
    main()
