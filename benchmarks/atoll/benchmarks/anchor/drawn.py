"""How good Gaussian replay of pictures is: ``python -m atoll.benchmarks.anchor.drawn FILE.npz …``.

A linear classifier (ridge regression on the stem's vectors) is trained on what was drawn, and tried on real validation
pictures; beside it is the same trained on the real training pictures. The further a prior falls short of that, the more
it leaves out. Priors are exact in every form of covariance, and noised at several ε; a file holds ``images`` and
``labels``, as the workload ``images`` reads them.
"""

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from atoll.anchors import Anchor, resolve
from atoll.anchors.resolve import IMAGES
from atoll.benchmarks.anchor.frozen import opened
from atoll.replay import Disclosure, Teacher
from atoll.strategies.replay.gaussian import Gaussian
from atoll.strategies.replay.moments import COVARIANCES, ISOTROPIC, POOLED
from atoll.workloads.classification import LabelledFeatures
from atoll.workloads.images import Images

_RIDGE = 10.0
_EPSILONS = (16.0, 4.0, 1.0)


def main() -> None:
    """Print a line for each file and prior."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.npz")
    parser.add_argument("--anchor", default=IMAGES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=int, default=2000, help="vectors drawn of each file")
    args = parser.parse_args()
    anchor = resolve(args.anchor)
    for path in args.files:
        for label, found in compared(anchor, path, args.seeds, args.budget):
            spread = f" ± {np.std(found, ddof=1):.3f}" if len(found) > 1 else ""
            print(f"{path.stem}: {label}: {np.mean(found):.3f}{spread}", flush=True)


def compared(anchor: Anchor, path: Path, seeds: int, budget: int) -> Iterator[tuple[str, list[float]]]:
    """Accuracies on the validation split by what was trained on; a seed is that of the draw and of the noise."""
    pictures = opened(anchor, path)
    train, asked = pictures.replay_private("train"), pictures.replay_private("validation")
    yield f"{len(train)} real pictures", [_tried(train.features, train.label, asked)]
    for covariance in COVARIANCES:
        exact = [_drawn(pictures, Gaussian(covariance=covariance), None, seed, budget, asked) for seed in range(seeds)]
        yield f"{covariance}, exact", exact
    for epsilon, covariance in product(_EPSILONS, (ISOTROPIC, POOLED)):
        noised = Gaussian(covariance=covariance)
        found = [_drawn(pictures, noised, epsilon, seed, budget, asked) for seed in range(seeds)]
        yield f"{covariance}, epsilon {epsilon:g}", found


def _drawn(
    pictures: Images, replay: Gaussian, epsilon: float | None, seed: int, budget: int, asked: LabelledFeatures
) -> float:
    space = pictures.replay_context(pictures.public_context())
    prior = replay.remember(pictures.replay_private("train"), space, Disclosure(epsilon=epsilon, secret=seed))
    # The prior says the classes, so that no teacher is asked.
    nobody = Teacher(torch.nn.Identity().eval())
    samples = replay.generate(nobody, prior, space, budget=budget, seed=seed)
    features = torch.cat([sample["features"] for sample in samples])
    return _tried(features, torch.stack([sample["label"] for sample in samples]).numpy(), asked)


def _tried(features: Tensor, label: np.ndarray, asked: LabelledFeatures) -> float:
    """Accuracy on what is asked of ridge regression on these."""
    x, y = _with_one(features), one_hot(torch.from_numpy(label), int(max(label.max(), asked.label.max())) + 1).double()
    weights = torch.linalg.solve(x.T @ x + _RIDGE * torch.eye(x.shape[1], dtype=torch.float64), x.T @ y)
    said = (_with_one(asked.features) @ weights).argmax(1).numpy()
    return float((said == asked.label).mean())


def _with_one(features: Tensor) -> Tensor:
    return torch.cat([features.double(), torch.ones(len(features), 1, dtype=torch.float64)], 1)


if __name__ == "__main__":
    main()
