"""From what is typed on the command line to values."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from atoll.cli.progress import shown_progress
from atoll.errors import ConfigError
from atoll.experts.signing import PublicKey
from atoll.federation.handover import Invitation, document_kind
from atoll.federation.units import Choice
from atoll.plugins import build
from atoll.releases.trust import Trust


def owners(text: str | None) -> list[str] | None:
    """``a,b`` as a list, ``none`` as nobody; ``None``, for everybody, stays."""
    if text is None:
        return None
    return [] if text == "none" else [name for name in (part.strip() for part in text.split(",")) if name]


def choice(group: str, name: str, options: Sequence[str], flag: str) -> Choice:
    """A plug-in with options, which are checked, and have the types that they have there.

    Raises:
        PluginError: no such plug-in.
        ConfigError: an option without a value, that it does not have, or of the wrong type.
    """
    given = _pairs(options, flag, "KEY=VALUE")
    built = build(group, name, given)
    return Choice(name=name, options={key: getattr(built, key) for key in given})


def public_keys(options: Sequence[str]) -> dict[str, PublicKey]:
    """``--key OWNER=KEY``, by owner.

    Raises:
        ConfigError: no key.
    """
    return {owner: public_key(text) for owner, text in _pairs(options, "--key", "OWNER=KEY").items()}


def public_key(text: str) -> PublicKey:
    """From hexadecimal digits, or a file that holds them.

    Raises:
        ConfigError: neither.
    """
    try:
        return PublicKey.from_hex(text)
    except ConfigError:
        return PublicKey.load(Path(text))


def trust(key: str, first: bool, older: bool, unsigned: bool) -> Trust:
    """Which releases a command opens.

    Args:
        key: Who must have signed: digits, a file of them, or an invitation; empty for what this user trusts.
        first: Trust whoever signed what is opened here for the first time.
        older: Open one that is older than what was opened before, or expired.
        unsigned: Open one without an envelope.

    Raises:
        ConfigError: no key.
    """
    named = coordinator_key(key) if key else None
    return Trust(key=named, first=first, older=older, unsigned=unsigned)


def coordinator_key(text: str) -> PublicKey:
    """From hexadecimal digits, a file that holds them, or the coordinator's invitation.

    Raises:
        ConfigError: none of these.
        FederationError: an invitation that was changed.
    """
    if document_kind(Path(text)) == Invitation.__name__:
        return PublicKey.from_hex(Invitation.load(Path(text)).public_key)
    return public_key(text)


@contextmanager
def bars() -> Iterator[Callable[[str, int, int], None]]:
    """Progress of everything that is told of, on standard error."""
    with shown_progress(Console(stderr=True), transient=True) as shown:

        def told(what: str, done: int, total: int) -> None:
            shown.show(what, done, total)

        yield told


def _pairs(given: Sequence[str], flag: str, form: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name or not value:
            raise ConfigError(f"{flag} is '{text}'; it has the form {form}")
        if name in pairs:
            raise ConfigError(f"{flag} gives '{name}' twice")
        pairs[name] = value
    return pairs
