"""Picture experts of a release under several routers: ``python -m atoll.benchmarks.anchor.routed --help``.

Accuracy on each silo's test split: of the anchor, of each silo's own expert alone, of the mixture as it was released,
and of the same experts under other routers. NAME is the owner's name in the release; a file is what that silo held.
"""

import argparse
import math
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from atoll.benchmarks.anchor.frozen import opened
from atoll.continual.baseline import measure
from atoll.errors import ConfigError
from atoll.mixture import Mixture
from atoll.plugins import build
from atoll.releases.opening import OpenRelease, open_release
from atoll.workloads.images import Images

_ALONE = {"anchor": -math.inf}
ROUTERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "domain, directions": ("domain", {"temperature": 8.0, "directions": True, **_ALONE}),
    "domain, directions, k 1": ("domain", {"temperature": 4.0, "directions": True, "k": 1, **_ALONE}),
    "domain": ("domain", {"temperature": 4.0, **_ALONE}),
    "top-k": ("top-k", {}),
}
"""By label, the router and its options."""


def main() -> None:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path, metavar="RELEASE", help="folder of a release")
    parser.add_argument("files", nargs="+", metavar="NAME=FILE.npz")
    args = parser.parse_args()
    release = open_release(args.release)
    silos = {name: opened(release.anchor, Path(file)) for name, _, file in (each.partition("=") for each in args.files)}
    if unknown := sorted(set(silos) - {expert.card.owner for expert in release.experts}):
        raise ConfigError(f"the release has no expert of '{unknown[0]}'")
    for label, found in accuracies(release, silos):
        print(f"{label}: " + ", ".join(f"{name} {value:.3f}" for name, value in found.items()), flush=True)


def accuracies(release: OpenRelease, silos: Mapping[str, Images]) -> list[tuple[str, dict[str, float]]]:
    """By model, accuracy on each silo's test split."""
    model, sites = release.anchor.model(), release.experts[0].card.sites
    with tempfile.TemporaryDirectory() as cache:
        frame = Images.frame(release.anchor, model, sites, Path(cache))
    found = [
        ("anchor", _each(release.mixture, silos, lambda name: ())),
        ("as released", _each(release.mixture, silos, lambda name: None)),
    ]
    soup = build("atoll.integrators", "soup", {})
    alone = soup.integrate(model, frame, release.experts, build("atoll.routers", "uniform", {}))
    found.append(("own expert alone", _each(alone, silos, lambda name: (name,))))
    for label, (name, options) in ROUTERS.items():
        if options.get("directions") and any(expert.descriptor.directions is None for expert in release.experts):
            continue
        made = build("atoll.integrators", "flexolmo", {})
        mixture = made.integrate(model, frame, release.experts, build("atoll.routers", name, options))
        found.append((label, _each(mixture, silos, lambda name: None)))
    return found


def _each(
    mixture: Mixture, silos: Mapping[str, Images], entitled: Callable[[str], Collection[str] | None]
) -> dict[str, float]:
    found = {}
    for name, silo in silos.items():
        with mixture.use(entitled(name)):
            found[name] = measure(mixture, silo, "test", None, 256)["accuracy"]
    return found


if __name__ == "__main__":
    main()
