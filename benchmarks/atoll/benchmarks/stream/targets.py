"""What a suite is to show, and whether it does: one line each, with its figures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from atoll.continual import Summary, paired_difference, spread, summarize
from atoll.coordinator.stream.results import ATOLL, Method

Methods = Mapping[str, Sequence[Method]]
"""By name, one a seed."""

_JOINT_SHARE, _FORGETTING_SHARE = 0.97, 0.1
_ANY = "nothing"


def summaries(methods: Methods, metric: str) -> dict[str, dict[int, Summary]]:
    """By method and place of the seed, each measured against joint training of the same seed."""
    joint = [run.scores[metric].joint for run in methods[ATOLL]]
    return {
        name: {
            place: summarize(replace(run.scores[metric], joint=reference))
            for place, (run, reference) in enumerate(zip(runs, joint, strict=True))
        }
        for name, runs in methods.items()
    }


def verdicts(methods: Methods, metric: str, ablations: Sequence[str]) -> list[str]:
    """Whether replay distillation reaches what was set for it.

    Args:
        methods: All of them.
        metric: What is compared.
        ablations: Names that are variants of Atoll itself, and no baselines.
    """
    found = summaries(methods, metric)
    ours = found[ATOLL]
    lines = []
    share = _mean(ours, "share_of_joint")
    if share is not None:
        lines.append(f"{_says(share >= _JOINT_SHARE)}: {share:.1%} of joint training's {metric}, where 97 % is wanted")
    forgotten = _mean(ours, "forgetting_max") or 0.0
    for name, times in (("sequential", _FORGETTING_SHARE), ("fedavg", 1.0)):
        other = _mean(found.get(name, {}), "forgetting_max")
        if other is not None:
            wanted = "at most a tenth" if times < 1 else "less"
            lines.append(
                f"{_says(forgotten <= times * other)}: forgetting {forgotten:.4f}, {name}'s {other:.4f}; {wanted} is "
                "wanted"
            )
    for name, runs in methods.items():
        if name not in (ATOLL, *ablations) and runs[0].sees == _ANY:
            lines.append(_ahead(found, name, metric))
    return lines


def _ahead(found: Mapping[str, Mapping[int, Summary]], name: str, metric: str) -> str:
    """Whether Atoll's average is the better one, and whether the seeds bear it out."""
    difference = paired_difference(found[ATOLL], found[name])["average_final"]
    assert difference is not None
    better = difference.mean > 0 if _higher(found[name]) else difference.mean < 0
    if difference.low is None or difference.high is None:
        sure = "no interval"
    else:
        sure = f"95 % interval {difference.low:+.4f} to {difference.high:+.4f}"
    return f"{_says(better)}: {metric} {difference.mean:+.4f} beside {name}'s, which sees no old data ({sure})"


def _higher(runs: Mapping[int, Summary]) -> bool:
    return next(iter(runs.values())).higher_is_better


def _mean(runs: Mapping[int, Summary], figure: str) -> float | None:
    found = spread(runs)[figure] if runs else None
    return None if found is None else found.mean


def _says(good: bool) -> str:
    return "yes" if good else "no"
