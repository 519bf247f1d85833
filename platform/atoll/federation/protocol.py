"""Which version of the messages two sides use, agreed when a coordinator says hello, or who must upgrade.

Protocol 1 is Atoll's before versions were agreed: its messages name none, and its nodes refuse a field that they do not
know. Protocol 2 is described in ``docs/deployment.md``.
"""

from atoll.errors import FederationError

PROTOCOL = 2
"""The newest that this Atoll uses."""
OLDEST = 2
"""The oldest that it still uses for work."""
UNVERSIONED = 1
"""What a message that names none was written in."""


class ProtocolError(FederationError):
    """There is no protocol that both sides use; the message says who must upgrade."""


def agree(newest: int, oldest: int, *, us: str, them: str) -> int:
    """The newest protocol that both sides use.

    Args:
        newest: The other side's.
        oldest: The other side's.
        us: What this side is called in messages.
        them: What the other is called.

    Raises:
        ProtocolError: there is none.
    """
    agreed = min(newest, PROTOCOL)
    if agreed >= max(oldest, OLDEST):
        return agreed
    if newest < OLDEST:
        old, new, version, wanted = them, us, newest, OLDEST
    else:
        old, new, version, wanted = us, them, PROTOCOL, oldest
    raise ProtocolError(
        f"{old} must upgrade Atoll: it uses protocol {version}, {new} needs {wanted} or newer; until then no work "
        "passes between them"
    )


def is_unversioned(refusal: str) -> bool:
    """Whether a node that refused a hello is of protocol 1: it knows none of the fields that name a version."""
    return refusal.startswith("a message is no Hello: 'Hello' has an unknown field ")
