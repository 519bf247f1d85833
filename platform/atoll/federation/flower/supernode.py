"""Flower's SuperNode as a child process: it brings messages to this machine and replies back, and runs nothing."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from atoll.federation.flower.clock import VARIABLE, shift_clock
from atoll.federation.flower.process import FlowerProcess, end_with_parent
from atoll.federation.flower.superlink import secret_file


def start_supernode(
    folder: Path, *, address: str, ca: Path, key: Path, port: int, clock_offset: float = 0.0, proxy: str | None = None
) -> FlowerProcess:
    """Start it.

    Args:
        folder: For its log and secret.
        address: ``host:port`` of the SuperLink.
        ca: PEM of who must have signed its certificate.
        key: The node's private key, PEM, on the curve P-384.
        port: On this machine's loopback, for its tasks.
        clock_offset: Seconds that its clock is behind the SuperLink's.
        proxy: URL of the proxy by which it goes to the SuperLink; by none if not given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arguments = ["--superlink", address, "--root-certificates", str(ca), "--isolation", "process"]
    arguments += ["--auth-supernode-private-key", str(key), "--host", "127.0.0.1", "--port", str(port)]
    arguments += ["--superexec-auth-secret-file", str(secret_file(folder))]
    environment = {VARIABLE: str(clock_offset)} | ({} if proxy is None else {"https_proxy": proxy})
    return FlowerProcess(__name__, arguments, log=folder / "supernode.log", environment=environment)


class _Brisk:
    """The module ``time`` with shorter naps."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    @staticmethod
    def sleep(seconds: float) -> None:
        time.sleep(seconds / 5)


def _main() -> None:
    import flwr.common.constant

    flwr.common.constant.MAX_RETRY_DELAY = 5  # seconds: a coordinator that is back is not kept waiting
    from flwr.supernode.cli.flower_supernode import flower_supernode

    # SuperNode's loop sleeps 3 s between looks for messages, and half a second between looks for our reply.
    sys.modules["flwr.supernode.start_client_internal"].time = _Brisk()  # type: ignore[attr-defined]
    shift_clock(float(os.environ.get(VARIABLE, "0")))
    end_with_parent()
    flower_supernode()


if __name__ == "__main__":
    _main()
