"""An institution's node: its configuration, key, anchor and data, opened once in its process."""

import functools
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from atoll.anchors import Anchor, resolve
from atoll.clients.device import usable_device
from atoll.clients.forgotten import read_forgotten
from atoll.clients.owner_keys import OwnerKeys
from atoll.config import read_config
from atoll.errors import ConfigError, FederationError, PackageError
from atoll.experts import checks
from atoll.experts.card import Consent
from atoll.experts.signing import Signer
from atoll.federation.blobs import BlobStore
from atoll.federation.node_config import NodeConfig
from atoll.federation.units import Announcement
from atoll.mixture import ANCHOR, Descriptor
from atoll.workloads.workload import Workload, workload_class

log = logging.getLogger(__name__)


class Node:
    """What a node has open while its process lives. Everything that it writes is in its own folder."""

    def __init__(self, folder: Path) -> None:
        """Read ``node.yaml``; nothing heavy is loaded yet.

        Raises:
            ConfigError: the configuration cannot be used.
        """
        self.folder = folder
        # cuBLAS sums in a fixed order only with a workspace of its own; read when a GPU is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        file = folder / "node.yaml"
        self.config = read_config(NodeConfig, file, [])
        try:
            check_node_config(self.config)
            self.device = usable_device(self.config.device)
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}") from error
        torch.set_num_threads(self.config.threads)
        torch.use_deterministic_algorithms(True, warn_only=True)

    @property
    def key(self) -> Signer:
        """The owner's key in force, made when first needed; it never leaves the folder."""
        keys = OwnerKeys(self.folder)
        return keys.current() if keys.exists else keys.make()

    @functools.cached_property
    def anchor(self) -> Anchor:
        """The anchor that this node has."""
        return resolve(self.config.anchor)

    def expect_anchor(self, digest: str) -> None:
        """Raise FederationError where the coordinator means another anchor."""
        if self.anchor.digest != digest:
            raise FederationError(
                f"'{self.config.owner}' has anchor {self.anchor.name} ({self.anchor.digest}), the coordinator "
                f"means {digest}: set `anchor` in node.yaml to the same model"
            )

    def model(self) -> nn.Module:
        """A fresh, frozen model of the anchor on the node's device; training changes it in place."""
        return self.anchor.model(device=self.device)

    @functools.cached_property
    def workload(self) -> Workload:
        """The silo's data, checked and ready.

        Raises:
            ConfigError: the anchor does not read data of this kind.
            DataError: the data cannot be used.
        """
        kind = workload_class(self.config.data.workload)
        if self.anchor.workload != kind.name:
            raise ConfigError(
                f"data.workload is '{kind.name}', but the anchor {self.anchor.name} reads {self.anchor.workload}"
            )
        found = kind.open(self.config.data, self.anchor, self.folder / "tokens")
        forgotten = read_forgotten(self.folder)
        if forgotten is not None:
            found.exclude(forgotten)
        found.prepare()
        for line in found.reading.lines():
            # Before any training, and on the owner's machine alone.
            log.info("data of '%s': %s", self.config.owner, line)
        return found

    @functools.cached_property
    def blobs(self) -> BlobStore:
        """Blobs that came from the coordinator."""
        return BlobStore(self.folder / "blobs")

    def announcement(self) -> Announcement:
        """What the silo says of itself.

        Raises:
            DataError: its data cannot be used.
        """
        counts = self.workload.counts
        return Announcement(
            owner=self.config.owner,
            domain=self.config.domain,
            licence=self.config.licence,
            public_key=self.key.public.hex,
            anchor=self.anchor.digest,
            parameters=self.anchor.parameters,
            documents={split: count.documents for split, count in counts.items()},
            tokens={split: count.tokens for split, count in counts.items()},
            characters={split: count.characters for split, count in counts.items()},
            held=sorted(self.blobs.digests()),
            workload=self.workload.name,
        )

    def frame(self, model: nn.Module, sites: Sequence[str]) -> Descriptor:
        """The anchor's own descriptor at these sites, the same for everyone."""
        return type(self.workload).frame(self.anchor, model, sites, self.folder / "cache")


def check_node_config(config: NodeConfig) -> None:
    """Refuse now what the expert's card would refuse after hours of training.

    Raises:
        ConfigError: the value, and what it may be.
    """
    if not checks.SLUG.fullmatch(config.owner) or config.owner == ANCHOR:
        raise ConfigError(
            f"owner is '{config.owner}'; take lower-case letters, digits and hyphens, at most 63 of them, beginning "
            f"with a letter or digit, and not '{ANCHOR}'"
        )
    if config.threads < 1:
        raise ConfigError(f"threads is {config.threads}; it must be at least 1")
    config.replay.check()
    try:
        checks.text("domain", config.domain)
        checks.text("licence", config.licence)
        terms = config.consent
        Consent(purposes=tuple(terms.purposes), until=terms.until, statement=terms.statement)
    except PackageError as error:
        raise ConfigError(str(error)) from error


@functools.lru_cache(maxsize=1)
def open_node(folder: Path) -> Node:
    """The node of this process."""
    return Node(folder)
