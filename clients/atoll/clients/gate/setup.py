"""An institution's folder: made once, by the institution, with keys that never leave it."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atoll.anchors import resolve
from atoll.clients.gate.peers import Peers
from atoll.clients.gate.policy import Policy
from atoll.clients.node import check_node_config
from atoll.clients.owner_keys import KeyInForce, OwnerKeys
from atoll.config import literal, read_config, to_commented_yaml, to_yaml
from atoll.errors import ConfigError, FederationError
from atoll.experts.files import write_atomic
from atoll.experts.signing import Signer
from atoll.federation.certificates import make_node_key
from atoll.federation.handover import Enrolment, Invitation
from atoll.federation.node_config import ConsentTerms, NodeConfig
from atoll.workloads.data import DataConfig
from atoll.workloads.workload import workload_class

_POLICY = """# What this node allows, whatever anyone asks. It is read anew for every message, and never leaves here.
# docs/deployment.md explains every key; `atoll node policy FOLDER` says what is in force.
"""


@dataclass(frozen=True, slots=True)
class NodeFolder:
    """Where everything of a node is."""

    root: Path

    @property
    def config(self) -> Path:
        """What the owner says of itself and its data."""
        return self.root / "node.yaml"

    @property
    def policy(self) -> Path:
        """What the owner allows."""
        return self.root / "policy.yaml"

    @property
    def invitation(self) -> Path:
        """Where the coordinator is."""
        return self.root / "invitation.json"

    @property
    def enrolment(self) -> Path:
        """For the operator."""
        return self.root / "enrolment.json"

    @property
    def keys(self) -> OwnerKeys:
        """Sign experts and answers."""
        return OwnerKeys(self.root)

    @property
    def node_key(self) -> Path:
        """By which the engine knows the node."""
        return self.root / "node.key"

    def read_config(self) -> NodeConfig:
        """``node.yaml``, checked.

        Raises:
            ConfigError: there is none, or it cannot be used.
        """
        self._expect()
        config = read_config(NodeConfig, self.config, [])
        try:
            check_node_config(config)
        except ConfigError as error:
            raise ConfigError(f"{self.config}: {error}") from error
        return config

    def read_policy(self) -> Policy:
        """``policy.yaml``, checked.

        Raises:
            ConfigError: there is none, or it cannot be used.
        """
        self._expect()
        policy = read_config(Policy, self.policy, [])
        try:
            policy.check()
        except ConfigError as error:
            raise ConfigError(f"{self.policy}: {error}") from error
        return policy

    def read_key(self) -> Signer:
        """The owner's key.

        Raises:
            ConfigError: there is none, or it cannot be used.
        """
        self._expect()
        self.keys.current()
        return KeyInForce(self.keys)

    @property
    def peers(self) -> Peers:
        """The other members, as this node knows them."""
        return Peers(self.root, self.read_config().owner, self.read_key)

    def _expect(self) -> None:
        if not self.config.exists():
            raise ConfigError(f"{self.root}: is no node's folder (it has no node.yaml); `atoll node init` makes one")


def init_node(
    root: Path,
    invitation: Path,
    *,
    owner: str,
    domain: str,
    data: list[str],
    consent: ConsentTerms,
    licence: str,
    settings: Sequence[str] = (),
) -> NodeFolder:
    """Make an institution's folder, or complete one; what is there stays as it is.

    Args:
        root: The folder.
        invitation: The file that the operator handed over.
        owner: Short name of the institution.
        domain: What its data is about.
        data: Where its data is, of the kind that the anchor reads.
        consent: What its experts may be used for.
        licence: Of its experts.
        settings: How the data is read, as ``key=value`` of the workload's configuration.

    Raises:
        ConfigError: a value that cannot be, or a folder of another owner or coordinator.
        FederationError: an invitation that cannot be read, or was changed.
        AnchorError: the anchor is not here, or is another one.
    """
    folder, invited = NodeFolder(root), Invitation.load(invitation)
    anchor = resolve(invited.anchor)
    if anchor.digest != invited.anchor_digest:
        raise FederationError(
            f"{invitation}: means the anchor {invited.anchor_digest}, but '{invited.anchor}' is {anchor.digest} here; "
            "ask the operator for its files"
        )
    config = NodeConfig(
        owner=owner,
        domain=domain,
        data=_data(anchor.workload, data, settings),
        anchor=invited.anchor,
        licence=licence,
        consent=consent,
    )
    check_node_config(config)
    # A misspelt path is known now, and not when the first work comes.
    workload_class(config.data.workload).data_files(config.data)
    _expect_same(folder, config, invited)
    try:
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"{root}: cannot be made this user's own ({error.strerror}); name a new folder") from error
    if not folder.keys.exists:
        folder.keys.make()
    shutil.copyfile(invitation, folder.invitation) if invitation.absolute() != folder.invitation.absolute() else None
    if not folder.config.exists():
        write_atomic(folder.config, to_yaml(config).encode())
    if not folder.policy.exists():
        policy = Policy(coordinators=[invited.public_key], workloads=[config.data.workload])
        write_atomic(folder.policy, (_POLICY + to_commented_yaml(policy)).encode())
    write_enrolment(folder)
    return folder


def _data(name: str, paths: list[str], settings: Sequence[str]) -> DataConfig:
    workload = workload_class(name)
    listed = json.dumps([literal(path) for path in paths], ensure_ascii=False)
    return workload.absolute(read_config(workload.Config, None, [f"paths={listed}", *settings]))


def write_enrolment(folder: NodeFolder) -> None:
    """Write what the operator needs to admit this node; its key is made where there is none.

    Raises:
        ConfigError: the folder cannot be used.
    """
    config, key = folder.read_config(), folder.read_key()
    node_key = make_node_key(folder.node_key).decode("ascii")
    enrolment = Enrolment(public_key=key.public.hex, owner=config.owner, domain=config.domain, node_key=node_key)
    enrolment.signed(key).save(folder.enrolment)


def _expect_same(folder: NodeFolder, config: NodeConfig, invited: Invitation) -> None:
    if folder.config.exists() and folder.read_config().owner != config.owner:
        known = folder.read_config().owner
        raise ConfigError(f"{folder.root}: is '{known}'s folder, not '{config.owner}'s; choose another folder")
    if folder.invitation.exists() and Invitation.load(folder.invitation).public_key != invited.public_key:
        raise ConfigError(
            f"{folder.root}: belongs to another coordinator; make another folder for this one, or remove "
            f"{folder.invitation} and change `coordinators` in {folder.policy}"
        )
