"""``atoll node forget``: records are passed over for good; an expert without them succeeds the one that had them."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atoll.clients.forgotten import open_forgotten, write_forgotten
from atoll.clients.gate.offers import offer
from atoll.clients.gate.offline import train_allowed
from atoll.clients.gate.setup import NodeFolder
from atoll.clients.gate.statements import Statements
from atoll.clients.node import Node
from atoll.clients.own_experts import OwnExpert, own_experts
from atoll.clients.succession import Succession, ended, pending
from atoll.clients.training.kept_checkpoints import usable_checkpoint
from atoll.errors import ConfigError
from atoll.federation.blobs import BlobStore
from atoll.federation.talk import DONE, WorkReply
from atoll.federation.units import TrainReply
from atoll.storage.folder_lock import sole_owner
from atoll.workloads.excluded import Excluded
from atoll.workloads.workload import Split


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What came of it.

    Attributes:
        records: How many records are passed over from now on that were not before.
        samples: How many samples of the data held any of them.
        predecessors: Digests of the experts that are withdrawn and erased here.
        successor: Digest of the new expert; empty where there was none to succeed.
        package: Its file.
        step: Step of the earlier training from which it went on; 0 where it was trained anew.
        statements: Files of the signed withdrawals.
    """

    records: int
    samples: int
    predecessors: list[str]
    successor: str = ""
    package: Path = Path()
    step: int = 0
    statements: tuple[Path, ...] = ()


def forget(root: Path, paths: Sequence[str], names: Sequence[str], *, anew: bool = False) -> Forgotten:
    """Pass over records from now on, and train the latest expert again without them.

    It can be cut off at any moment: given again, with the same records or with none, it goes on where it was. From its
    first step on no training reads the records any more.

    Args:
        root: The node's folder.
        paths: Files, folders and globs with the records, in the form of the data; they need not be part of it.
        names: Single records, by the names that they have in the data.
        anew: Not from a checkpoint that had not seen them, but from the beginning.

    Raises:
        LedgerError: the node runs; its process would go on with the records.
        ConfigError: no record, one that is not there, or an expert of which it is not known how it was trained.
        Refusal: the node's own policy does not allow the training.
        AtollError: the data cannot be used, or training diverged.
    """
    with sole_owner(root / ".lock", root, "; the node would go on with the records"):
        folder, begun = NodeFolder(root), pending(root)
        experts = own_experts(root)
        records = samples = 0
        if begun is not None:
            known = open_forgotten(root)
            write_forgotten(root, known.joined(Excluded(known.key, frozenset(begun.records))))
        elif not paths and not names:
            raise ConfigError("name the records to forget: files (PATHS), or records of the data (--record NAME)")
        if paths or names:
            records, samples, begun = _exclude(root, paths, names, experts, begun, anew=anew)
        if begun is None:
            return Forgotten(records, samples, [])
        unit = next((each.unit for each in experts if each.digest == begun.predecessor), None)
        if unit is None:
            raise ConfigError(
                f"the records are passed over from now on, but how the expert {begun.predecessor[:19]} was trained is "
                "not known here: train another one (atoll node train --offline, or by a call), and withdraw that one "
                f"(atoll node withdraw {root} --expert {begun.predecessor})"
            )
        node = Node(root.absolute())
        said, package = train_allowed(folder, node, unit, begun)
        old = [each for each in experts if each.digest != said.digest]
        statements = _withdraw(folder, old, said.digest, begun.forgotten)
        blob = offer(root, said.digest, package)
        _clean(root, old, TrainReply(digest=said.digest, blob=blob, metrics=said.metrics), package, node.workload.key)
        ended(root)
        digests = [each.digest for each in old]
        return Forgotten(records, samples, digests, said.digest, package, begun.step, tuple(statements))


def _exclude(
    root: Path,
    paths: Sequence[str],
    names: Sequence[str],
    experts: Sequence[OwnExpert],
    before: Succession | None,
    *,
    anew: bool,
) -> tuple[int, int, Succession | None]:
    """Put records on the list, and note what must follow: how many are new, their samples, and the succession.

    What must follow is on the disk first, with the records: after a crash the list is completed from there.
    """
    node, known = Node(root.absolute()), open_forgotten(root)
    named = known.having(node.workload.named_records(paths, names))
    if not named.digests:
        raise ConfigError("there is no record in what was named, so nothing is forgotten")
    new = Excluded(known.key, named.digests - known.digests)
    held = _held(node, new)
    samples = sum(map(len, held.values()))
    if samples and (before is not None or experts):
        before = _begun(node, experts, held, before, new, anew=anew)
        before.save(root)
    write_forgotten(root, known.joined(named))
    return len(new.digests), samples, before


def _begun(
    node: Node,
    experts: Sequence[OwnExpert],
    held: Mapping[Split, Sequence[int]],
    before: Succession | None,
    new: Excluded,
    *,
    anew: bool,
) -> Succession:
    """The succession; one that was begun before takes the new records in."""
    earlier = [] if before is None else before.records
    old = next(each for each in reversed(experts) if before is None or each.digest == before.predecessor)
    step, checkpoint = (0, "") if anew else usable_checkpoint(node.workload, old, held)
    if before is not None and before.step < step:
        step, checkpoint = before.step, before.checkpoint
    records = sorted({*earlier, *new.digests})
    return Succession(predecessor=old.digest, forgotten=len(records), step=step, checkpoint=checkpoint, records=records)


def _held(node: Node, new: Excluded) -> Mapping[Split, Sequence[int]]:
    return node.workload.holding(new) if new.digests else {}


def _withdraw(folder: NodeFolder, old: Sequence[OwnExpert], successor: str, forgotten: int) -> list[Path]:
    """Sign that earlier experts are withdrawn; one that was said to be already is not said again."""
    statements = Statements(folder.root / "statements", folder.read_config().owner, folder.read_key())
    words = f"succeeded by {successor}, which was trained without {forgotten} of the records"
    found = []
    for each in old:
        known = [path for path in sorted((folder.root / "statements").glob("[0-9]*.json")) if _says(path, each, words)]
        found.append(known[0] if known else statements.say(expert=each.digest, purposes=[], until=None, words=words)[1])
    return found


def _says(path: Path, expert: OwnExpert, words: str) -> bool:
    said = json.loads(path.read_text("utf-8"))
    return (said.get("expert"), said.get("words")) == (expert.digest, words)


def _clean(root: Path, old: Sequence[OwnExpert], successor: TrainReply, package: Path, key: str) -> None:
    """Erase what was made of the records: packages, checkpoints, caches. A unit asked for again gives the successor."""
    outgoing = BlobStore(root / "outgoing")
    for each in old:
        outgoing.remove(each.blob)
        for work in each.works:
            reply = WorkReply(state=DONE, result=successor.to_json(), blobs={successor.blob: package.stat().st_size})
            (work / "reply.json").write_text(reply.to_json(), encoding="utf-8")
        for unpacked in (root / "experts").glob(f"*-{each.digest.removeprefix('sha256:')[:12]}"):
            shutil.rmtree(unpacked)
        if each.package.parent.exists():
            shutil.rmtree(each.package.parent)
    for cached in (root / "tokens").glob("*"):
        if cached.name != key:
            shutil.rmtree(cached, ignore_errors=True)
    shutil.rmtree(root / "states", ignore_errors=True)
    for left in (root / "work").iterdir():
        if left != package.parent:  # a training that was never ended
            shutil.rmtree(left)
