"""Where a stream's mixtures are put together, and their routers fitted: with packages alone."""

import hashlib
import json
from dataclasses import asdict
from functools import cached_property

import torch
from torch import nn

from atoll.anchors import Anchor, cache_root
from atoll.coordinator.config import RunConfig
from atoll.coordinator.crew import Crew
from atoll.coordinator.release import Release, verify
from atoll.coordinator.stream.refit import Domain, refit
from atoll.experts.integrator import Integrator
from atoll.experts.package import ExpertPackage
from atoll.experts.signing import PublicKey
from atoll.federation.units import Choice
from atoll.mixture import Mixture, Router
from atoll.mixture.shared import Shared
from atoll.plugins import build
from atoll.workloads.workload import Workload, workload_class


class Studio:
    """The anchor's model, loaded once, and what is made of it."""

    def __init__(self, config: RunConfig, anchor: Anchor, crew: Crew, replay: Choice) -> None:
        """Nothing is loaded yet.

        Args:
            config: The run.
            anchor: Its anchor.
            crew: Keeps the packages, and the fitted rows beside them.
            replay: The generator.
        """
        self._config, self._anchor, self._crew, self._replay = config, anchor, crew, replay

    def fitted(self, release: Release, before: Release | None) -> str:
        """The router of a release fitted on replay of all its domains: digest of the shared part, which is kept.

        It is fitted once; a run that goes on finds it.

        Args:
            release: Without a shared part.
            before: The release before it, which teaches the domains that it has; ``None`` to start from the owners'
                descriptors and trainings alone.
        """
        address = self._address(release, before)
        kept = self._crew.journal.find("fitted", "", address)
        if kept is not None and self._crew.packages.has(str(kept.get("shared"))):
            return str(kept["shared"])
        made = self._fit(release, before)
        digest = self._crew.packages.put(made.to_bytes())
        self._crew.journal.write("fitted", "", address, {"shared": digest})
        return digest

    def shared(self, release: Release) -> Shared | None:
        """The shared part of a release that was made here."""
        return Shared.from_bytes(self._crew.packages.get(release.shared).read_bytes()) if release.shared else None

    def _fit(self, release: Release, before: Release | None) -> Shared:
        packages = {member.owner: self._package(release, member.owner) for member in release.members}
        earlier = self.shared(before) if before else None
        rows = earlier.rows if earlier else {}
        student = self._mixture(release, packages).with_rows(rows)
        start = self._mixture(release, packages).with_rows(rows)
        old = tuple(before.owners) if before else ()
        teacher = None if before is None else start.restrict(old)
        domains = []
        for owner, package in packages.items():
            if teacher is not None and before is not None and owner in old:
                domains.append(Domain(package=package, teacher=teacher, entitlement=old, release=before.digest))
            else:
                domains.append(
                    Domain(package=package, teacher=start, entitlement=(*old, owner), release=release.digest)
                )
        config = self._config
        return refit(
            student,
            domains,
            self._workload,
            self._replay,
            config.stream.refit,
            number=release.number,
            before=earlier,
            seed=config.seed,
        )

    def _mixture(self, release: Release, packages: dict[str, ExpertPackage]) -> Mixture:
        router: Router = build("atoll.routers", release.router.name, release.router.options)
        integrator: Integrator = build("atoll.integrators", release.integrator.name, release.integrator.options)
        experts = list(packages.values())
        frame = workload_class(self._anchor.workload).frame(
            self._anchor, self._model, experts[0].card.sites, cache_root() / "descriptors"
        )
        return integrator.integrate(self._model, frame, experts, router).to(self._device)

    def _package(self, release: Release, owner: str) -> ExpertPackage:
        (member,) = [member for member in release.members if member.owner == owner]
        return verify(self._crew.packages.get(member.blob), owner, PublicKey.from_hex(member.public_key), self._anchor)

    def _address(self, release: Release, before: Release | None) -> str:
        what = [
            release.digest,
            before.digest if before else "",
            asdict(self._config.stream.refit),
            asdict(self._replay),
            self._config.seed,
        ]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]

    @cached_property
    def _model(self) -> nn.Module:
        return self._anchor.model(device=self._device)

    @cached_property
    def _device(self) -> str:
        wanted = self._config.engine.device
        return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted

    @cached_property
    def _workload(self) -> Workload:
        return workload_class(self._anchor.workload).public(self._anchor)
