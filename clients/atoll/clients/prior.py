"""What replay may keep of the owner's data, made under the owner's terms and with noise that only the owner knows."""

import dataclasses
import hashlib
import json

from atoll.clients.node import Node
from atoll.errors import ConfigError
from atoll.experts.signing import Signer
from atoll.federation.node_config import NOISED, NOTHING
from atoll.federation.units import Choice
from atoll.plugins import build
from atoll.replay import Disclosure, NothingToTell, Prior, Replay


def make_prior(node: Node, choice: Choice) -> Prior | None:
    """The owner's prior for a generator.

    Args:
        node: Its data, and its terms (``replay`` in ``node.yaml``).
        choice: The generator.

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
    private, context = workload.replay_private(), workload.replay_context(workload.public_context())
    empty = Prior(generator=replay.name, settings={}, tensors={}, declared={}, most=terms.samples)
    if terms.tell != NOTHING:
        # What shapes table and noise. Options that do not, such as a temperature, must not give a table new noise.
        settings = dict(replay.remember(private, context, Disclosure(smallest=0)).settings)
        what = json.dumps([workload.key, replay.name, settings, terms.epsilon], sort_keys=True)
        disclosure = Disclosure(
            epsilon=terms.epsilon if terms.tell == NOISED else None,
            smallest=terms.smallest,
            secret=owners_seed(node.key, "prior", what),
        )
        try:
            return dataclasses.replace(replay.remember(private, context, disclosure), most=terms.samples)
        except NothingToTell:
            pass
    return empty if terms.samples else None


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
