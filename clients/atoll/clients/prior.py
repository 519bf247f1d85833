"""What replay may keep of the owner's data, made under the owner's terms and with noise that only the owner knows."""

import dataclasses
import hashlib
import json
from importlib.metadata import version
from typing import Any

from atoll.clients.node import Node
from atoll.clients.spending import LAPLACE, MECHANISM, NO_PROMISE, Spend
from atoll.errors import ConfigError
from atoll.experts.signing import Signer
from atoll.federation.node_config import NOISED, NOTHING
from atoll.federation.units import Choice
from atoll.plugins import build
from atoll.replay import Disclosure, NothingToTell, Prior, Replay


def make_prior(node: Node, choice: Choice, *, exact: bool = True) -> Prior | None:
    """The owner's prior for a generator.

    Args:
        node: Its data, and its terms (``replay`` in ``node.yaml``).
        choice: The generator.
        exact: Whether counts may be told without noise, where the terms allow it; not beside a private expert.

    Returns:
        One without tensors where nothing may be told, or where nothing is left after noise and suppression: it carries
        the cap on samples alone. ``None`` where there is no cap either.

    Raises:
        ConfigError: a generator for another kind of data.
        DataError: there is no data to remember.
    """
    terms, workload = node.config.replay, node.workload
    replay: Replay = build("atoll.replay", choice.name, choice.options)
    if workload.name not in replay.workloads:
        raise ConfigError(
            f"replay.name is '{choice.name}', which draws {' or '.join(replay.workloads)}, but the data is "
            f"{workload.name}"
        )
    empty = Prior(generator=replay.name, settings={}, tensors={}, declared={}, most=terms.samples)
    if not workload.has_public_inputs:
        return empty  # of places that are made of the data nothing can be told
    private, context = workload.replay_private(), workload.replay_context(workload.public_context())
    if terms.tell == NOISED or (terms.tell != NOTHING and exact):
        disclosure = Disclosure(
            epsilon=terms.epsilon if terms.tell == NOISED else None,
            smallest=terms.smallest,
            secret=_seed(node, replay, private, context),
        )
        try:
            return dataclasses.replace(replay.remember(private, context, disclosure), most=terms.samples)
        except NothingToTell:
            pass
    return empty if terms.samples else None


def prior_spends(prior: Prior | None) -> list[Spend]:
    """What a prior spends, table by table; the same prior has the same keys."""
    if prior is None:
        return []
    found = []
    for name, declared in sorted(prior.declared.items()):
        mechanism = NO_PROMISE if declared.epsilon is None else (MECHANISM if declared.delta else LAPLACE)
        found.append(
            Spend(
                what=f"prior of {prior.generator}: {declared.what}",
                mechanism=mechanism,
                key=f"{prior.digest}/{name}",
                unit=declared.unit,
                epsilon=declared.epsilon or 0.0,
                delta=declared.delta,
            )
        )
    return found


def _seed(node: Node, replay: Replay, private: Any, context: Any) -> int:
    """Of the noise on a generator's tables.

    It follows from the exact tables themselves, and from all else that shapes what is done with them. So two tables
    that differ anywhere have noise that has nothing in common, whatever made them differ; and options that shape no
    table, such as a temperature, give the same table the same noise again.
    """
    exact = replay.remember(private, context, Disclosure(smallest=0))
    public = node.workload.public_context()
    about = repr(context) if public is None else hashlib.sha256(public).hexdigest()
    epsilon = repr(node.config.replay.epsilon)
    shaped_by = (exact.digest, node.workload.key, about, node.anchor.digest, replay.name, epsilon, version("atoll"))
    return owners_seed(node.key, "prior", *shaped_by)


def owners_seed(key: Signer, what: str, *parts: str) -> int:
    """A seed of 256 bits that the owner alone can find, always the same for the same words.

    It is a hash of a signature that is shown to nobody: Ed25519 signatures are deterministic (RFC 8032, section 5.1.6),
    and without the key they cannot be told from random numbers. Of one seed no two tables of noise may be made of the
    same data, for their difference would be free of noise; so all that shapes a table belongs into ``parts``.

    Args:
        key: The owner's.
        what: What the seed is for.
        parts: What it belongs to.
    """
    asked = hashlib.sha256(json.dumps([what, *parts]).encode()).hexdigest()
    return int.from_bytes(hashlib.sha256(key.sign(f"atoll seed 1 {asked}".encode())).digest(), "big")
