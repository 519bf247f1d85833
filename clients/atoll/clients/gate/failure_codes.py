"""What a node says of its failures to others: a code and a fixed sentence. Details stay in the node's own log.

An error's own message names paths, files and lines, and a file may be named after a patient. So nothing of it leaves
but a reference under which the node's log has it. What is said of a request as it came, and what the owner's policy
refuses, leaves in full: the one is the coordinator's own, the other is made of the policy's keys by the agent alone.
"""

import errno
import logging
import secrets

from atoll.clients.gate.refusal import Refusal
from atoll.errors import (
    AnchorError,
    ConfigError,
    DataError,
    FederationError,
    MixtureError,
    PackageError,
    PluginError,
)
from atoll.federation.protocol import ProtocolError

log = logging.getLogger(__name__)

DATA, CONFIGURATION, PACKAGE, ANCHOR, MIXTURE, PLUGIN = (
    "data",
    "configuration",
    "package",
    "anchor",
    "mixture",
    "plug-in",
)
DIED, FULL, DISK, POLICY, INTERNAL = "worker-died", "disk-full", "disk", "policy", "internal"
SENTENCES = {
    DATA: "the node's data cannot be read or used",
    CONFIGURATION: "the node's configuration, or a setting that was asked for, cannot be used",
    PACKAGE: "an expert package that the work needs, or made, is refused",
    ANCHOR: "the node's anchor is missing, or another one",
    MIXTURE: "the experts cannot be integrated",
    PLUGIN: "a plug-in is missing or does not load",
    DIED: "the process that does the work died, as often as it was tried",
    FULL: "the node's disk is full; it tries again",
    DISK: "the node's disk does not serve; it tries again",
    POLICY: "the node's policy cannot be read; nothing is done until its owner has mended it",
    INTERNAL: "the work failed",
}
_BY_TYPE: tuple[tuple[type[Exception], str], ...] = (
    (DataError, DATA),
    (ConfigError, CONFIGURATION),
    (PackageError, PACKAGE),
    (AnchorError, ANCHOR),
    (MixtureError, MIXTURE),
    (PluginError, PLUGIN),
)


class RequestError(FederationError):
    """What a coordinator asked cannot be; the message is made of what it sent, and of nothing else."""


class WorkerError(FederationError):
    """The worker process answered with an error, or died; the message is for the node's own log.

    Attributes:
        code: Of :data:`SENTENCES`.
    """

    def __init__(self, code: str, details: str) -> None:
        """An unknown code, which a plug-in could make up, is an internal failure."""
        super().__init__(details)
        self.code = code if code in SENTENCES else INTERNAL


def code_of(error: Exception) -> str:
    """The code of an error."""
    if isinstance(error, WorkerError):
        return error.code
    if isinstance(error, OSError):
        return FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else DISK
    return next((code for kind, code in _BY_TYPE if isinstance(error, kind)), INTERNAL)


def outward(error: Exception, what: str, code: str = "") -> str:
    """What leaves of an error; its details go to the log, under the reference that leaves with the code.

    Args:
        error: What happened.
        what: What was being done, for the log.
        code: Where the error's type does not say it.
    """
    if isinstance(error, Refusal | RequestError | ProtocolError):
        log.warning("%s is refused: %s", what, error)
        return str(error)
    code, reference = code or code_of(error), secrets.token_hex(4)
    log.warning("%s failed, reference %s, %s: %s", what, reference, code, error)
    return f"{code}: {SENTENCES[code]} (its log has the details under {reference})"
