"""An institution's node: its configuration, key, anchor and text, opened once in its process."""

import functools
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from atoll.anchors import Anchor, resolve
from atoll.anchors.public import public_descriptor
from atoll.config import read_config
from atoll.errors import FederationError
from atoll.experts.signing import OwnerKey
from atoll.federation.blobs import BlobStore
from atoll.federation.node_config import NodeConfig
from atoll.mixture import Descriptor
from atoll.workloads.text import Text


class Node:
    """What a node has open while its process lives. Everything that it writes is in its own folder."""

    def __init__(self, folder: Path) -> None:
        """Read ``node.yaml``; nothing heavy is loaded yet.

        Raises:
            ConfigError: the configuration cannot be used.
        """
        self.folder = folder
        self.config = read_config(NodeConfig, folder / "node.yaml", [])
        torch.set_num_threads(self.config.threads)
        torch.use_deterministic_algorithms(True, warn_only=True)

    @functools.cached_property
    def key(self) -> OwnerKey:
        """The owner's key, made when first needed; it never leaves the folder."""
        path = self.folder / "owner.key"
        if path.exists():
            return OwnerKey.load(path)
        key = OwnerKey.generate()
        key.save(path)
        return key

    @functools.cached_property
    def anchor(self) -> Anchor:
        """The anchor that this node has."""
        return resolve(self.config.anchor)

    def expect_anchor(self, digest: str) -> None:
        """Raise FederationError where the coordinator means another anchor."""
        if self.anchor.digest != digest:
            raise FederationError(
                f"'{self.config.owner}' has anchor {self.anchor.name} ({self.anchor.digest}), the coordinator means {digest}: "
                "set `anchor` in node.yaml to the same model"
            )

    def model(self) -> nn.Module:
        """A fresh, frozen model of the anchor on the node's device; training changes it in place."""
        device = self.config.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        return self.anchor.model(device=device)

    @functools.cached_property
    def text(self) -> Text:
        """The silo's text, checked and tokenized."""
        text = Text(self.config.data, self.anchor.tokenizer(), self.folder / "tokens")
        text.prepare()
        return text

    @functools.cached_property
    def blobs(self) -> BlobStore:
        """Blobs that came from the coordinator."""
        return BlobStore(self.folder / "blobs")

    def frame(self, model: nn.Module, sites: Sequence[str]) -> Descriptor:
        """The anchor's own descriptor at these sites, the same for everyone."""
        return public_descriptor(self.anchor, model, sites, self.folder / "cache")


@functools.lru_cache(maxsize=1)
def open_node(folder: Path) -> Node:
    """The node of this process."""
    return Node(folder)
