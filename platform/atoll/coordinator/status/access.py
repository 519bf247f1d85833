"""Who may look: whoever has the token, or a cookie that a browser got for it."""

import hashlib
import hmac
import time
from collections import deque
from collections.abc import Callable

from atoll.errors import ConfigError

_SHORTEST = 16
"""Characters of a token; with fewer, guessing might do."""
_FREE = 3
"""Wrong tries that cost nothing."""
_FORGOTTEN = 60.0
"""Seconds after which a wrong try is forgotten."""
_LONGEST = 4.0
"""Seconds that a try waits at most."""


class Access:
    """Checks what is shown to it, in the same time whether it is right or wrong."""

    def __init__(self, token: str) -> None:
        """For one token.

        Raises:
            ConfigError: it is too short to keep anyone out.
        """
        if len(token) < _SHORTEST:
            raise ConfigError(
                f"the token of the coordinator's status has {len(token)} characters; it needs {_SHORTEST} or more, "
                "as secrets.token_urlsafe() makes them"
            )
        self._token = token.encode()
        # Cookies go to every port of a host: the value must not be the token, and the name not another server's.
        self.cookie_name = f"atoll-status-{self._derived(b'name')[:8]}"
        self.cookie_value = self._derived(b"value")

    def is_token(self, shown: bytes) -> bool:
        """Whether this is the token."""
        return _equal(shown, self._token)

    def is_cookie(self, shown: str) -> bool:
        """Whether this is the value of a cookie that was given for the token."""
        return _equal(shown.encode("utf-8", "replace"), self.cookie_value.encode())

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


def _equal(one: bytes, other: bytes) -> bool:
    # Digests, so that not even the length is told.
    return hmac.compare_digest(hashlib.sha256(one).digest(), hashlib.sha256(other).digest())
