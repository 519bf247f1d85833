"""What a figure must be able to say of its origin: commit, machine, versions."""

import os
import platform
import subprocess
from importlib.metadata import version

_PACKAGES = ("atoll", "torch", "transformers", "peft")


def provenance() -> dict[str, str]:
    """Commit of the working folder, machine and versions, by name."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    return {"commit": commit, "machine": machine, **{name: version(name) for name in _PACKAGES}}
