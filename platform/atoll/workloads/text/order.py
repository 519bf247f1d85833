"""A permutation of the training windows that needs neither memory nor a library's random numbers.

A Feistel network over the smallest power of four that holds all windows, walked until it falls inside (Black and
Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). It is a bijection by construction, costs the same at any size
and any place, and is the same on every machine and with every version of every library.
"""

import hashlib

_ROUNDS = 6


def shuffled(position: int, count: int, seed: int, epoch: int) -> int:
    """What comes at ``position`` in a random order of ``range(count)``, another one for every seed and epoch."""
    half = max(1, ((count - 1).bit_length() + 1) // 2)
    value = position
    while True:
        value = _feistel(value, half, f"{seed}/{epoch}")
        if value < count:
            return value


def _feistel(value: int, half: int, key: str) -> int:
    mask = (1 << half) - 1
    left, right = value >> half, value & mask
    for turn in range(_ROUNDS):
        digest = hashlib.blake2b(f"{key}/{turn}/{right}".encode(), digest_size=8).digest()
        left, right = right, left ^ (int.from_bytes(digest, "little") & mask)
    return left << half | right
