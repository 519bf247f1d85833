"""How well silos of two digits can be told apart: ``python -m atoll.benchmarks.split.routing``.

Router ``domain`` knows one mean and one spread of a silo. What that can tell at the first block is printed beside what
a spread of the silo's own, without the anchor's, and a mean for each class could.

Shapes: N pictures, D width.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from atoll.anchors import resolve
from atoll.benchmarks.split.arrivals import SplitArrivals
from atoll.benchmarks.split.vectors import vectors
from atoll.coordinator.stream.world import world_of
from atoll.workloads.images import Images

Tell = Callable[[Tensor], Tensor]
"""From vectors [N, D] to the place of a silo, [N]."""


def main() -> None:
    """Measure with every seed, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    args = parser.parse_args()
    found = [told_apart(SplitArrivals(dataset=args.dataset), seed) for seed in args.seeds]
    print(f"share of test pictures whose silo is told, mean ± standard deviation over {len(found)} seeds")
    for name in found[0]:
        shares = [one[name] for one in found]
        print(f"{name:24} {statistics.fmean(shares):.3f} ± {statistics.stdev(shares) if len(shares) > 1 else 0:.3f}")


@torch.no_grad()
def told_apart(study: SplitArrivals, seed: int) -> dict[str, float]:
    """Share of test pictures whose silo is told, by what is known of silos; a mean over silos.

    Args:
        study: Its data and anchor.
        seed: Of the split.
    """
    anchor = resolve(study.anchor)
    model: Any = anchor.model()
    norm = model.model.layers[0].norm
    with tempfile.TemporaryDirectory() as folder:
        stream = vectors(world_of(study.config(seed), Path(folder)), "class")
    known = [norm(context.train.tensors()[0]) for context in stream.contexts]
    asked = [norm(context.test.tensors()[0]) for context in stream.contexts]
    public = norm(Images.public(anchor).replay_private("train").features).var(0, unbiased=False)
    labels = [context.train.tensors()[1] for context in stream.contexts]
    pooled = [(one.mean(0), (one.var(0, unbiased=False) + public) / 2) for one in known]
    own = [(one.mean(0), one.var(0, unbiased=False).clamp_min(1e-3)) for one in known]
    means = [
        torch.stack([one[label == k].mean(0) for k in label.unique()]) for one, label in zip(known, labels, strict=True)
    ]
    ways: dict[str, Tell] = {
        "as router domain": lambda x: _likeliest(x, pooled),
        "with a spread of its own": lambda x: _likeliest(x, own),
        "by a mean for each class": lambda x: torch.stack([torch.cdist(x, m).amin(1) for m in means], 1).argmin(1),
    }
    return {name: _share(tell, asked) for name, tell in ways.items()}


def _likeliest(x_ND: Tensor, silos: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Under a normal distribution for each silo, with independent coordinates."""
    densities = [-((x_ND - mean).square() / spread + spread.log()).sum(1) for mean, spread in silos]
    return torch.stack(densities, 1).argmax(1)


def _share(tell: Tell, asked: Sequence[Tensor]) -> float:
    return statistics.fmean(float((tell(x) == place).double().mean()) for place, x in enumerate(asked))


if __name__ == "__main__":
    main()
