"""What a node's budgets have left, and its privacy account: as values for machines, and as tables for people."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from atoll.clients.gate.account import Account, Standing
from atoll.clients.gate.policy import Policy
from atoll.clients.measuring.audit import AUDIT
from atoll.clients.measuring.budget import MeasuringBudget
from atoll.clients.spending import GAUSSIAN, NO_PROMISE, Spend, total
from atoll.experts.signing import Signer

_NUMBERS = ("models", "figures", "audits")


def budget(folder: Path, key: Signer, policy: Policy) -> dict[str, Any]:
    """What was spent and what is left, as JSON can hold it.

    Args:
        folder: The node's.
        key: The owner's.
        policy: The rules.

    Raises:
        ConfigError: the account was changed.
    """
    standing, measured = Account(folder, key).standing(), MeasuringBudget(folder)
    rules = policy.training
    splits = [split for split in policy.measuring.splits if measured.current(split) is not None]
    return {
        "privacy": {
            **asdict(standing.total),
            "most_epsilon": rules.total_epsilon,
            "most_delta": rules.total_delta,
            "left": _left(standing, policy),
        },
        "released": [asdict(spend) for spend in standing.spends],
        "trainings": {
            "most": rules.trainings,
            "used": standing.trainings,
        },
        "measuring": {
            split: {name: _used(measured, policy, split, name) for name in _NUMBERS} for split in splits or ["test"]
        },
    }


def budget_tables(found: Mapping[str, Any]) -> RenderableType:
    """The same for people."""
    privacy, trainings = found["privacy"], found["trainings"]
    spent = Table()
    for heading in ("what", "mechanism", "unit", "ε", "δ"):
        spent.add_column(heading)
    for each in _promised(found["released"]):
        spent.add_row(each.what, each.mechanism, each.unit, f"{each.epsilon:.3g}", f"{each.delta:.2g}")
    spent.add_section()
    spent.add_row(
        f"together, of at most ε = {privacy['most_epsilon']:g} and δ = {privacy['most_delta']:g}",
        privacy["composition"],
        "the smallest",
        f"{privacy['epsilon']:.3g}",
        f"{privacy['delta']:.2g}",
    )
    bare = Table()
    bare.add_column("what")
    bare.add_column("how often", justify="right")
    names = [each["what"] for each in found["released"] if each["mechanism"] == NO_PROMISE]
    for name in dict.fromkeys(names):
        bare.add_row(name, str(names.count(name)))
    left = Table()
    for heading in ("of", "used", "at most", "version or split"):
        left.add_column(heading)
    for data, used in (trainings["used"] or {"": 0}).items():
        left.add_row("trainings", str(used), str(trainings["most"]), data[:12])
    for split, numbers in found["measuring"].items():
        for name, (used, most) in numbers.items():
            left.add_row(f"measured {name}", str(used), str(most), split)
    return Group(
        "What left with a promise of privacy (ε, δ), for the life of the silo:",
        spent,
        "\nWhat left without a promise:",
        bare,
        "\nBudgets for a version of the data:",
        left,
    )


def _promised(released: Sequence[Mapping[str, Any]]) -> list[Spend]:
    """What left with a promise; figures of one kind together."""
    spends = [Spend(**each) for each in released if each["mechanism"] != NO_PROMISE]
    found = [spend for spend in spends if spend.mechanism != GAUSSIAN]
    for what in dict.fromkeys(spend.what for spend in spends if spend.mechanism == GAUSSIAN):
        same = [spend for spend in spends if (spend.what, spend.mechanism) == (what, GAUSSIAN)]
        together, numbers = total(same), sum(spend.steps for spend in same)
        heading = f"{what} ({numbers} figures)"
        found.append(replace(same[0], what=heading, epsilon=together.epsilon, delta=together.delta))
    return found


def _left(standing: Standing, policy: Policy) -> float:
    return max(0.0, policy.training.total_epsilon - standing.total.epsilon)


def _used(measured: MeasuringBudget, policy: Policy, split: str, name: str) -> list[int]:
    # Audits look at the training split, so they are counted on versions of it.
    split = AUDIT if name == "audits" else split
    return [int(getattr(measured.spent(split), name)), int(getattr(policy.measuring, name))]
