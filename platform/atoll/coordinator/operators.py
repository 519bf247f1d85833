"""Operators of a coordinator: named, in roles, with tokens that expire; every act of theirs is in the ledger."""

import getpass
import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from atoll.coordinator.server.folder import ServerFolder
from atoll.errors import AccessError, AtollError, ConfigError, PendingError
from atoll.ledger import (
    Event,
    Fact,
    KeyRotated,
    Ledger,
    OperatorActed,
    OperatorAdded,
    OperatorRemoved,
    OwnerRevoked,
    State,
    StatementHeard,
    UseRestricted,
)
from atoll.ledger.operator_facts import (
    CONFIRMED,
    PENDING,
    ROLES,
    USER,
    facts_digest,
    facts_from_lines,
    facts_to_lines,
)

log = logging.getLogger(__name__)

TOKEN = "ATOLL_OPERATOR_TOKEN"
"""Environment variable that holds an operator's token."""
_WAITS = timedelta(days=7)
"""How long a pending act can be confirmed."""
_AT_ONCE = (OwnerRevoked, UseRestricted, StatementHeard, KeyRotated)
"""Takes away, or is an owner's own signed word: waits for no second operator, for a withdrawal must hold at once."""


@dataclass(frozen=True, kw_only=True)
class Acting:
    """Somebody who acts.

    Attributes:
        operator: Its name.
        role: In which role.
        what: Doing what.
        second: Whether another one must confirm it.
    """

    operator: str
    role: str
    what: str
    second: bool = False


class OperatedLedger(Ledger):
    """A ledger to which one operator writes: each act goes before the facts that come of it, in one transaction."""

    def __init__(self, opened: Ledger, acting: Acting) -> None:
        """Over a ledger that is open, and stays so as long as this is used."""
        super().__init__(opened._engine, opened.head_file, opened._signer)
        self._acting = acting

    def record_all(self, facts: Sequence[Fact], at: datetime | None = None) -> list[Event]:
        """Write facts with the act that they come of; or only the act, where a second operator must confirm it.

        Raises:
            PendingError: it is written down and waits.
            LedgerError: they contradict what is written, or the operator may not act any more; nothing is written.
        """
        when, acting = at or datetime.now(UTC), self._acting
        state = self.state()
        if not any(state.is_news(fact, when) for fact in facts):
            return []
        second = acting.second and not all(isinstance(fact, _AT_ONCE) for fact in facts)
        if second and acting.operator.startswith(USER):
            raise AccessError(
                "two_person in coordinator.yaml wants two operators for this, and none are named: "
                "atoll coordinator operator add"
            )
        lines, act = facts_to_lines(facts), secrets.token_hex(6)
        acted = OperatorActed(
            act=act,
            operator=acting.operator,
            role=acting.role,
            what=acting.what,
            facts=facts_digest(lines),
            standing=PENDING if second else "done",
            waiting=lines if second else None,
            until=(when + _WAITS).date().isoformat() if second else "",
        )
        if not second:
            return super().record_all([acted, *facts], at)[1:]
        super().record_all([acted], at)
        raise PendingError(
            f"'{acting.what}' waits for a second operator with the role {acting.role}, until {acted.until}: "
            f"atoll coordinator operator confirm FOLDER {act}"
        )


@contextmanager
def operated_ledger(folder: ServerFolder, role: str, what: str, token_file: Path | None = None) -> Iterator[Ledger]:
    """The coordinator's ledger, for an act of whoever shows a token.

    Args:
        folder: The coordinator's.
        role: That the act needs.
        what: The act, for the ledger.
        token_file: Holds the operator's token; without, the environment variable :data:`TOKEN` does.

    Raises:
        AccessError: no token, or one that is unknown, expired or without the role.
        PendingError: raised by writing; see :class:`OperatedLedger`.
        ConfigError, LedgerError: the ledger cannot be opened.
    """
    two_person = folder.read_config().two_person
    with folder.open_ledger() as opened:
        state = opened.state()
        operator = authenticate(state, role, _token(token_file), datetime.now(UTC))
        acting = Acting(operator=operator, role=role, what=what, second=role in two_person)
        yield OperatedLedger(opened, acting)


def authenticate(state: State, role: str, token: str, at: datetime) -> str:
    """Name of the operator whose token this is; of the operating system's user where no operators are named.

    Raises:
        AccessError: no token, or one that is unknown, expired or without the role.
    """
    if not state.operators:
        return USER + _user()
    if not token:
        raise AccessError(f"this coordinator has operators: give your token with --token-file FILE or in {TOKEN}")
    known = operator_of(state, token)
    if known is None:
        raise AccessError("this token is no operator's")
    if at.date().isoformat() > known.until:
        raise AccessError(f"the token of {known.name} expired on {known.until}; have a new one made: operator add")
    if role not in known.roles:
        raise AccessError(f"{known.name} has the roles {', '.join(known.roles)}; this needs {role}")
    return known.name


def operator_of(state: State, token: str) -> OperatorAdded | None:
    """The operator whose token this is, expired or not."""
    digest = token_digest(token)
    found = None
    for each in state.operators.values():  # all of them, so that the time says nothing
        if hmac.compare_digest(each.token_digest, digest):
            found = each
    return found


def operator_tokens(ledger: Ledger) -> Callable[[], list[str]]:
    """What gives the digests of the tokens that are taken now, whatever their roles; none while it cannot be read.

    Args:
        ledger: One that is opened for this alone, and asked from one thread.
    """

    def in_force() -> list[str]:
        day = datetime.now(UTC).date().isoformat()
        try:
            return [each.token_digest for each in ledger.state().operators.values() if day <= each.until]
        except AtollError as error:
            log.error("operators' tokens cannot be read: %s", error)
            return []

    return in_force


def token_digest(token: str) -> str:
    """SHA-256 of a token, in hex."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def add_operator(folder: ServerFolder, name: str, roles: list[str], days: int, token_file: Path | None = None) -> str:
    """Let an operator act, or give it other roles and a new token.

    While nobody has the role ``admit`` in force, whoever can write to the folder may add one who has it. Otherwise
    nobody gives a role that it has not; and where two_person names any role, a second operator confirms it.

    Returns:
        The token, which is kept nowhere.

    Raises:
        AccessError: it may not be added by whoever shows this token.
        PendingError: a second operator must confirm it; its message has the token too, which holds from then on.
        ConfigError: no such role, or no days.
    """
    if not roles or set(roles) - set(ROLES):
        raise ConfigError(f"--role is one of {', '.join(ROLES)}")
    if days < 1:
        raise ConfigError(f"--days is {days}; it must be at least 1")
    now, token = datetime.now(UTC), secrets.token_urlsafe(32)
    fact = OperatorAdded(
        name=name,
        roles=sorted(set(roles), key=ROLES.index),
        token_digest=token_digest(token),
        until=(now + timedelta(days=days)).date().isoformat(),
    )
    with folder.open_ledger() as opened:
        acting = _admitting(folder, opened.state(), f"operator add {name} {','.join(fact.roles)}", token_file, fact)
        try:
            OperatedLedger(opened, acting).record(fact)
        except PendingError as pending:
            raise PendingError(f"{pending}\nits token, from then on: {token}") from pending
    return token


def remove_operator(folder: ServerFolder, name: str, token_file: Path | None = None) -> bool:
    """Let an operator act no more.

    Returns:
        Whether there was such an operator.

    Raises:
        AccessError: it may not be removed by whoever shows this token.
        PendingError: a second operator must confirm it.
    """
    with folder.open_ledger() as opened:
        acting = _admitting(folder, opened.state(), f"operator remove {name}", token_file, None)
        return OperatedLedger(opened, acting).record(OperatorRemoved(name=name)) is not None


def confirm_act(folder: ServerFolder, act: str, token_file: Path | None = None) -> OperatorActed:
    """Confirm what another operator proposed, and write what comes of it.

    Returns:
        The act.

    Raises:
        AccessError: no such act waits, or whoever shows this token may not confirm it.
        LedgerError: what it would write cannot be any more, it expired, or the operator proposed it itself.
    """
    with folder.open_ledger() as ledger:
        state = ledger.state()
        known = state.acts.get(act)
        if known is None or known.standing != PENDING or not known.waiting:
            waiting = [each.act for each in state.acts.values() if each.standing == PENDING]
            raise AccessError(f"no act {act} waits to be confirmed; there are {', '.join(waiting) or 'none'}")
        operator = authenticate(state, known.role, _token(token_file), datetime.now(UTC))
        if operator == known.operator:
            raise AccessError(f"{operator} proposed this act: another operator must confirm it")
        facts = facts_from_lines(known.waiting)
        for fact in facts:
            if isinstance(fact, OperatorAdded):
                _expect_gives(state, operator, fact)
        confirmed = OperatorActed(
            act=act,
            operator=operator,
            role=known.role,
            what=known.what,
            facts=known.facts,
            standing=CONFIRMED,
        )
        ledger.record_all([confirmed, *facts])
        return known


def _admitting(
    folder: ServerFolder, state: State, what: str, token_file: Path | None, added: OperatorAdded | None
) -> Acting:
    now = datetime.now(UTC)
    if added is not None and not state.operators_in_force("admit", now):
        if "admit" not in added.roles:
            raise ConfigError("the first operator needs the role admit, so that it can add others")
        return Acting(operator=USER + _user(), role="admit", what=what)
    operator = authenticate(state, "admit", _token(token_file), now)
    if added is not None:
        _expect_gives(state, operator, added)
    # Or one alone would make its own second.
    return Acting(operator=operator, role="admit", what=what, second=bool(folder.read_config().two_person))


def _expect_gives(state: State, operator: str, added: OperatorAdded) -> None:
    given = set(added.roles) - set(state.operators[operator].roles)
    if given:
        raise AccessError(f"{operator} cannot give the roles {', '.join(sorted(given))}, which it has not itself")


def _token(file: Path | None) -> str:
    if file is None:
        return os.environ.get(TOKEN, "").strip()
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: no token can be read here: {error}") from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in containers
        return str(os.getuid())
