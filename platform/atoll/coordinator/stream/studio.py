"""Where a stream's mixtures are put together, and their routers fitted: with packages alone."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property

import torch
from torch import nn

from atoll.anchors import Anchor, cache_root
from atoll.coordinator.stream.config import RefitConfig
from atoll.coordinator.stream.refit import Domain, refit
from atoll.experts.integrator import Integrator
from atoll.experts.package import ExpertPackage
from atoll.experts.signing import PublicKey
from atoll.federation.blobs import BlobStore
from atoll.federation.units import Choice, MemberRef
from atoll.mixture import Mixture, Router
from atoll.mixture.shared import Shared
from atoll.plugins import build
from atoll.releases.members import verify
from atoll.releases.release import Release
from atoll.workloads.workload import Workload, workload_class


def device_of(wanted: str) -> str:
    """Where to compute; ``auto`` takes a GPU where there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted


class Studio:
    """The anchor's model, loaded once, and what is made of it."""

    def __init__(
        self, anchor: Anchor, packages: BlobStore, replay: Choice, config: RefitConfig, *, seed: int, device: str
    ) -> None:
        """Nothing is loaded yet.

        Args:
            anchor: The anchor.
            packages: Holds the experts, and the fitted routers of earlier releases.
            replay: The generator.
            config: How routers are fitted.
            seed: Of replay.
            device: To compute on; ``auto`` takes a GPU where there is one.
        """
        self._anchor, self._packages, self._replay, self._config = anchor, packages, replay, config
        self._seed, self._wanted = seed, device

    def address(self, release: Release, before: Release | None) -> str:
        """Of what :meth:`fit` would make: equal addresses, equal results."""
        what = [
            release.digest,
            before.digest if before else "",
            asdict(self._config),
            asdict(self._replay),
            self._seed,
        ]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]

    def shared(self, release: Release) -> Shared | None:
        """The shared part of a release that was made here."""
        return Shared.from_bytes(self._packages.get(release.shared).read_bytes()) if release.shared else None

    def fit(self, release: Release, before: Release | None) -> Shared:
        """Fit the router of a release on replay of all its domains.

        Args:
            release: Without a shared part.
            before: The release before it, which teaches the domains that it has; ``None`` to start from the owners'
                descriptors and trainings alone.

        Raises:
            FederationError: a package is not here.
            PackageError: one that does not verify, or whose prior permits no sample.
        """
        packages = {member.owner: self._package(member) for member in release.members}
        earlier = self.shared(before) if before else None
        rows = earlier.rows if earlier else {}
        student = self._mixture(release, packages).with_rows(rows)
        start = self._mixture(release, packages).with_rows(rows)
        return refit(
            student,
            self._domains(release, before, packages, start),
            self._workload,
            self._replay,
            self._config,
            number=release.number,
            before=earlier,
            seed=self._seed,
        )

    def _domains(
        self, release: Release, before: Release | None, packages: Mapping[str, ExpertPackage], start: Mixture
    ) -> list[Domain]:
        """Earlier owners' domains are taught by the release before; a new one's by the mixture it was trained in."""
        old = tuple(before.owners) if before else ()
        teacher = start.restrict(old) if old else None
        domains = []
        for owner, package in packages.items():
            if before is not None and teacher is not None and owner in old:
                domains.append(Domain(package=package, teacher=teacher, entitlement=old, release=before.digest))
            else:
                taught = (*old, owner)
                domains.append(Domain(package=package, teacher=start, entitlement=taught, release=release.digest))
        return domains

    def _mixture(self, release: Release, packages: Mapping[str, ExpertPackage]) -> Mixture:
        router: Router = build("atoll.routers", release.router.name, release.router.options)
        integrator: Integrator = build("atoll.integrators", release.integrator.name, release.integrator.options)
        experts = list(packages.values())
        frame = workload_class(self._anchor.workload).frame(
            self._anchor, self._model, experts[0].card.sites, cache_root() / "descriptors"
        )
        return integrator.integrate(self._model, frame, experts, router).to(self._device)

    def _package(self, member: MemberRef) -> ExpertPackage:
        key = PublicKey.from_hex(member.public_key)
        return verify(self._packages.get(member.blob), member.owner, key, self._anchor)

    @cached_property
    def _model(self) -> nn.Module:
        return self._anchor.model(device=self._device)

    @cached_property
    def _device(self) -> str:
        return device_of(self._wanted)

    @cached_property
    def _workload(self) -> Workload:
        return workload_class(self._anchor.workload).public(self._anchor)
