"""Who may look: whoever has the token, or a cookie that a browser got for it."""

import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection

from atoll.errors import ConfigError

_SHORTEST = 16
"""Characters of a token; with fewer, guessing might do."""
_FREE = 3
"""Wrong tries that cost nothing."""
_FORGOTTEN = 60.0
"""Seconds after which a wrong try is forgotten."""
_SOURCES = 4096
"""Addresses that are remembered."""
_LONGEST = 4.0
"""Seconds that a try waits at most."""


class Access:
    """Checks what is shown to it, in the same time whether it is right or wrong."""

    def __init__(self, token: str, operators: Callable[[], Collection[str]] = tuple) -> None:
        """For one token, and those of operators.

        Args:
            token: The server's own.
            operators: Gives the SHA-256 (hex) of the tokens of operators that are taken now; asked at every look, so
                that one that ended or was removed is refused at once, with the cookies that were given for it.

        Raises:
            ConfigError: it is too short to keep anyone out.
        """
        if len(token) < _SHORTEST:
            raise ConfigError(
                f"the token of the coordinator's status has {len(token)} characters; it needs {_SHORTEST} or more, "
                "as secrets.token_urlsafe() makes them"
            )
        self._token, self._operators = token.encode(), operators
        # Cookies go to every port of a host: the value must not be the token, and the name not another server's.
        self.cookie_name = f"atoll-status-{self._derived(b'name')[:8]}"
        self.cookie_value = self._derived(b"value")

    def is_token(self, shown: bytes) -> bool:
        """Whether this is the token, or an operator's."""
        return _equal(shown, self._token) or self._operator(shown) is not None

    def is_cookie(self, shown: str) -> bool:
        """Whether this is the value of a cookie that was given for a token that is taken now."""
        raw = shown.encode("utf-8", "replace")
        if not raw:
            return False
        return _equal(raw, self.cookie_value.encode()) or any(
            _equal(raw, self._cookie_of(digest).encode()) for digest in self._operators()
        )

    def cookie_for(self, shown: bytes) -> str:
        """The value of a cookie for whoever showed this token, which is one."""
        digest = None if _equal(shown, self._token) else self._operator(shown)
        return self.cookie_value if digest is None else self._cookie_of(digest)

    def _operator(self, shown: bytes) -> str | None:
        digest = hashlib.sha256(shown).hexdigest()
        return digest if digest in self._operators() else None  # of digests, so that the time says nothing of tokens

    def _cookie_of(self, digest: str) -> str:
        return self._derived(b"operator " + digest.encode())

    def _derived(self, purpose: bytes) -> str:
        return hmac.new(self._token, b"atoll status cookie " + purpose, hashlib.sha256).hexdigest()


class Patience:
    """How long a try with a token waits: after a few wrong ones a little, then longer, never for ever."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nobody was wrong yet, by this clock, in seconds."""
        self._clock = clock
        self._wrong: deque[float] = deque(maxlen=8)

    def wrong(self) -> None:
        """A try was wrong."""
        self._wrong.append(self._clock())

    def seconds(self) -> float:
        """How long the next try waits before it is looked at."""
        lately = sum(self._clock() - at < _FORGOTTEN for at in self._wrong)
        return 0.0 if lately < _FREE else min(0.25 * 2.0 ** (lately - _FREE), _LONGEST)


class PatienceBySource:
    """A :class:`Patience` for each address that was wrong lately, so that who guesses does not keep others waiting."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = _SOURCES) -> None:
        """Nobody was wrong yet, by this clock; at most so many addresses are remembered, the last ones."""
        self._clock, self._most = clock, most
        self._known: OrderedDict[str, Patience] = OrderedDict()

    def wrong(self, source: str) -> None:
        """A try from there was wrong."""
        self._known.setdefault(source, Patience(self._clock)).wrong()
        self._known.move_to_end(source)
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def seconds(self, source: str) -> float:
        """How long the next try from there waits before it is looked at."""
        known = self._known.get(source)
        return 0.0 if known is None else known.seconds()


def source_of(host: str) -> str:
    """What counts as one source: an IPv4 address, or the /64 of an IPv6 address, which one machine has as a whole."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


def _equal(one: bytes, other: bytes) -> bool:
    # Digests, so that not even the length is told.
    return hmac.compare_digest(hashlib.sha256(one).digest(), hashlib.sha256(other).digest())
