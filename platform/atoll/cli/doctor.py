"""``atoll doctor``: what is there, what is missing, and the command that mends it."""

import dataclasses
import itertools
import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from atoll.cli.checks import Check, all_checks

_COLOURS = {"ok": "green", "missing": "yellow", "broken": "red"}


def doctor(*, as_json: bool = False) -> int:
    """Look at everything and print it.

    Args:
        as_json: One JSON object with ``ok`` and ``checks``, in place of the table.

    Returns:
        Exit code: 0 when the core works, 1 when something that is required does not.
    """
    found = all_checks()
    works = not any(check.required and check.state != "ok" for check in found)
    if as_json:
        report = {"ok": works, "checks": [dataclasses.asdict(check) for check in found]}
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        _print(found, works)
    return 0 if works else 1


def _print(found: Sequence[Check], works: bool) -> None:
    console = Console()
    table = Table("", "", "", title="atoll doctor", title_justify="left", show_header=False)
    for section, checks in itertools.groupby(found, key=lambda check: check.section):
        table.add_row(Text(section, style="bold"))
        for check in checks:
            table.add_row(f"  {check.name}", Text(check.state, style=_COLOURS[check.state]), Text(check.detail))
        table.add_section()
    console.print(table)
    # Outside of the table, where no border gets into a copied command.
    for check in found:
        if check.mend:
            line = Text.assemble((f"{check.name} is {check.state}: ", _COLOURS[check.state]), check.mend)
            console.print(line, soft_wrap=True)
    console.print("The core works." if works else Text("The core does not work: mend what is red.", style="bold red"))
