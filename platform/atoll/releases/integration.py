"""Anchor and verified packages become a mixture."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from atoll.anchors import Anchor, cache_root
from atoll.experts.integrator import Integrator
from atoll.experts.package import ExpertPackage
from atoll.mixture import Mixture
from atoll.plugins import build
from atoll.releases.release import Release
from atoll.workloads.workload import workload_class


def integrate(
    release: Release, anchor: Anchor, model: nn.Module, experts: Sequence[ExpertPackage], cache: Path | None = None
) -> Mixture:
    """The release's mixture, from verified packages.

    Args:
        release: Says how.
        anchor: The anchor.
        model: Its model, which is not changed.
        experts: The members' packages.
        cache: Where the anchor's descriptor is kept. Not the release's folder: that comes from elsewhere, and what its
            digest does not cover must not decide how tokens are routed.
    """
    router = build("atoll.routers", release.router.name, release.router.options)
    integrator: Integrator = build("atoll.integrators", release.integrator.name, release.integrator.options)
    frame = workload_class(anchor.workload).frame(
        anchor, model, experts[0].card.sites, cache or cache_root() / "descriptors"
    )
    return integrator.integrate(model, frame, experts, router)
