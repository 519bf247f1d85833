"""What a node answers where its policy does not allow what is asked."""

from atoll.errors import FederationError


class Refusal(FederationError):  # noqa: N818 - what it is, and not an error of anybody's
    """The institution does not allow it."""
