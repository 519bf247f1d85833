"""Training on a machine without a network, under the same rules as with one."""

from datetime import datetime
from pathlib import Path

from atoll.cli.options import bars
from atoll.clients.gate.account import Account
from atoll.clients.gate.package_spends import package_spends
from atoll.clients.gate.policy import Refusal
from atoll.clients.gate.setup import NodeFolder
from atoll.clients.node import Node
from atoll.clients.succession import Succession
from atoll.clients.work import plan_training, train_expert
from atoll.config import read_config
from atoll.coordinator.server.calls import TrainSettings
from atoll.experts.package import unpack, verify_package
from atoll.federation.units import TrainReply, TrainUnit


def train_offline(root: Path, overrides: list[str]) -> Path:
    """Train an expert, or go on with one, and lay it out as a folder, to be looked at and packed.

    Args:
        root: The node's folder.
        overrides: Settings such as ``training.steps=400``; they should be those that the coordinator calls for.

    Returns:
        The expert's folder.

    Raises:
        Refusal: the node's own policy does not allow it.
        AtollError: the data cannot be used, or training diverged.
    """
    folder = NodeFolder(root)
    config, node = folder.read_config(), Node(folder.root.absolute())
    unit = read_config(TrainSettings, None, overrides).unit(node.anchor.digest)
    said, package = train_allowed(folder, node, unit)
    place = folder.root / "experts" / f"{config.owner}-{said.digest.removeprefix('sha256:')[:12]}"
    if not place.exists():
        unpack(package, place, trusted=node.key.public)
    return place


def train_allowed(
    folder: NodeFolder, node: Node, unit: TrainUnit, succession: Succession | None = None
) -> tuple[TrainReply, Path]:
    """Train an expert in this process, under the policy and on the account of the node.

    Args:
        folder: The node's.
        node: The same, opened.
        unit: The work.
        succession: The expert that this one is made in place of.

    Returns:
        What came of it, and the package's file.

    Raises:
        Refusal: the node's own policy does not allow it.
        AtollError: the data cannot be used, or training diverged.
    """
    policy, silo = folder.read_policy(), node.announcement()
    policy.allow_training(unit, silo)
    basis = plan_training(node, unit, policy.limits)
    policy.allow_basis(unit, basis, silo)
    if not policy.is_open(datetime.now().astimezone()):
        raise Refusal(f"now is outside the hours in which this node works ({', '.join(policy.hours)})")
    account = Account(folder.root, folder.read_key())
    account.allow(policy.training, unit, basis, policy.min_documents, by_owner=succession is not None)
    with bars() as told:
        said, package = train_expert(
            node, unit, lambda done, total, note: told("train", done, total), policy.limits, succession
        )
    found = verify_package(package, trusted=node.key.public)
    policy.allow_expert(
        found.card,
        has_shares=found.descriptor.unigram is not None,
        has_directions=found.descriptor.directions is not None,
        prior=found.prior,
        size=package.stat().st_size,
    )
    policy.allow_package(unit, basis, found)
    account.release(policy.training, unit, basis, found.digest, package_spends(found, basis))
    return said, package
