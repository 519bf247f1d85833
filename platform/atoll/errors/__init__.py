"""Every error that Atoll raises on purpose.

::

    AtollError
    ├── ConfigError      a configuration that cannot be run: unknown key, wrong type, missing path
    ├── DataError        an owner's data that cannot be read or used
    ├── PackageError     an expert package that is refused; the message says why
    ├── AnchorError      an anchor that is missing, or not the one that was asked for
    ├── MixtureError     experts that cannot be integrated, or an entitlement that names nobody
    ├── PluginError      an extension point has no such name
    ├── FederationError  a silo or the engine under it failed
    ├── LedgerError      a history that was tampered with, or a fact that contradicts it
    ├── AccessError      an operator's token that is missing, unknown or expired, or has not the role that is needed
    │   └── PendingError an act that waits for a second operator
    └── MachineError     the machine gives no space, memory, permission, file or port that is needed

A message says what was wrong, where, and what to do about it. The command line prints it alone, without a traceback,
and exits with ``exit_code``. What others raise gets its sentence in :mod:`atoll.errors.explain`.
"""


class AtollError(Exception):
    """Base of the family; ``exit_code`` is what the command line exits with."""

    exit_code = 1


class ConfigError(AtollError):
    """A configuration that cannot be run."""

    exit_code = 2


class DataError(AtollError):
    """An owner's data cannot be read or used."""

    exit_code = 3


class PackageError(AtollError):
    """An expert package is refused."""

    exit_code = 4


class AnchorError(AtollError):
    """An anchor is missing, or not the one that was asked for."""

    exit_code = 5


class MixtureError(AtollError):
    """Experts cannot be integrated, or an entitlement names nobody in the mixture."""

    exit_code = 6


class PluginError(AtollError):
    """An extension point has no such name."""

    exit_code = 7


class FederationError(AtollError):
    """A silo or the engine under it failed."""

    exit_code = 8


class LedgerError(AtollError):
    """The ledger cannot be used, was tampered with, or a fact contradicts what is written in it."""

    exit_code = 9


class AccessError(AtollError):
    """An operator's token is missing, unknown or expired, or has not the role that is needed."""

    exit_code = 10


class PendingError(AccessError):
    """An act is written down and waits for a second operator; nothing came of it yet."""

    exit_code = 11


class MachineError(AtollError):
    """The machine does not give what is needed: space, memory, a permission, a file, a port."""

    exit_code = 12


__all__ = [
    "AccessError",
    "AnchorError",
    "AtollError",
    "ConfigError",
    "DataError",
    "FederationError",
    "LedgerError",
    "MachineError",
    "MixtureError",
    "PackageError",
    "PendingError",
    "PluginError",
]
