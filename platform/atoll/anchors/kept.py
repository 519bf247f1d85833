"""Descriptors that cost something to compute, kept on disk."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from atoll.mixture import Descriptor


def kept_descriptor(cache: Path, made_from: object, make: Callable[[], Descriptor]) -> Descriptor:
    """The descriptor that was made of this before, or a new one.

    Args:
        cache: A folder of one's own: what lies in it is believed.
        made_from: All that decides what comes out, as JSON can write it.
        make: Makes it.
    """
    name = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:32]
    path = cache / f"public-{name}.safetensors"
    if path.exists():
        return Descriptor.from_bytes(path.read_bytes())
    descriptor = make()
    cache.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_bytes(descriptor.to_bytes())
    os.replace(partial, path)
    return descriptor
