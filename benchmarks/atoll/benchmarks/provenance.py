"""What a figure must be able to say of its origin: commit, machine, versions."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

_PACKAGES = ("atoll", "torch", "numpy", "transformers", "peft", "flwr", "scikit-learn", "river", "avalanche-lib")


@cache
def provenance() -> dict[str, str]:
    """Commit of the checkout that this code is of, machine and versions, by name; what is not installed is left out.

    A commit ends in ``+changes`` where files differ from it; it is empty outside a checkout.
    """
    commit = _git("rev-parse", "HEAD")
    changed = "+changes" if commit and _git("status", "--porcelain", "--untracked-files=no") else ""
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    if torch.cuda.is_available():
        machine += f", {torch.cuda.get_device_name()}"
    return {"commit": commit + changed, "machine": machine, "python": platform.python_version(), **_versions()}


def _git(*arguments: str) -> str:
    try:
        found = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
        )
    except OSError:  # no git
        return ""
    return found.stdout.strip()


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
