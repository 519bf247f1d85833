"""A federation in a real ledger, with owners who write what they should not, and a server that knows some nodes."""

import http.client
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.signed_facts import accepted, admitted, statement

from atoll.coordinator.status.live import Live
from atoll.coordinator.status.snapshot import Snapshot, reader, snapshot
from atoll.coordinator.status.web import Server, create_status_app, serve
from atoll.ledger import (
    Called,
    CallFinished,
    ExpertFlagged,
    Fact,
    Ledger,
    OwnerRevoked,
    Released,
    StatementHeard,
    Transferred,
    UnitFinished,
    UnitIssued,
)

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOW = NOON + timedelta(hours=3)
TOKEN = "a token of the tests, long enough"
HOSTILE = "<script>alert('x')</script>\"'&{{ 7*7 }} \u202egnp.exe\x1b[2J"
ACCEPTED = {owner: accepted(owner, words="as signed") for owner in ("bank", "clinic", "library")}
EXPERTS = {owner: fact.expert for owner, fact in ACCEPTED.items()}
CALL = f"sha256:{'e' * 64}"
UNIT = f"sha256:{'d' * 64}"


def facts() -> Iterator[tuple[Fact, datetime]]:
    """What happened, and when."""
    for owner in (*EXPERTS, "mill"):
        domain = HOSTILE if owner == "library" else f"the domain of the {owner}"
        node_key = "" if owner == "bank" else f"the key of the node of the {owner}"
        yield admitted(owner, domain=domain, node_key=node_key), NOON
    for fact in ACCEPTED.values():
        yield fact, NOON
    yield Released(number=1, digest=f"sha256:{'1' * 64}", guarantee="exact", members=list(EXPERTS.values())), NOON
    later = NOON + timedelta(hours=1)
    for said in (
        statement("library", 1, EXPERTS["library"], ["research", "teaching"], until="2027-01-31", words=HOSTILE),
        statement("bank", 1, EXPERTS["bank"], words="no more"),
    ):
        yield StatementHeard(document=said.to_line()), later
    without = [EXPERTS["clinic"], EXPERTS["library"]]
    yield Released(number=2, digest=f"sha256:{'2' * 64}", guarantee="exact", members=without), later
    yield OwnerRevoked(owner="mill", reason="left the federation"), later
    yield ExpertFlagged(owner="library", expert=EXPERTS["library"], by="clinic", added=0.25), later
    yield Called(call=CALL, work="train", what="{}", owners=[]), later
    yield UnitIssued(owner="clinic", unit=UNIT, work="train", call=CALL), later
    yield UnitIssued(owner="library", unit=UNIT, work="evaluate"), later
    yield UnitIssued(owner="bank", unit="u", work="train", call=CALL), later
    yield UnitFinished(owner="bank", unit="u", result="", failure="its disk is full"), later
    yield Called(call="c2", work="release", what="{}", owners=[]), later
    yield CallFinished(call="c2", result="", failure="nobody permits anything"), later
    yield Transferred(owner="clinic", blob="b", to_owner=False, size=3 * 1024 * 1024), later
    yield Transferred(owner="clinic", blob="m", to_owner=True, size=2048), later


@pytest.fixture
def ledger_path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    with Ledger.open(path) as ledger:
        for fact, at in facts():
            ledger.record(fact, at)
    return path


@pytest.fixture
def ledger(ledger_path: Path) -> Iterator[Ledger]:
    with Ledger.open(ledger_path) as opened:
        yield opened


def known(now: datetime) -> Live:
    """What a server knows that has run for an hour, up to now."""
    times = iter([now - timedelta(hours=1), now - timedelta(minutes=5)])
    live = Live(lambda: next(times))
    live.seen("clinic", now - timedelta(seconds=4))
    live.seen("library", now - timedelta(minutes=7))
    live.progress("clinic", UNIT, 30, 120, f"step 30 {HOSTILE}")
    live.failed("library", "evaluate", HOSTILE, now - timedelta(minutes=7))
    live.received("clinic", 1_000)
    live.sent("clinic", 2_000)
    return live


@pytest.fixture
def live() -> Live:
    return known(NOW)


@pytest.fixture
def found(ledger: Ledger, live: Live) -> Snapshot:
    """With the server running."""
    return snapshot(ledger.state(), live, NOW)


@pytest.fixture
def written(ledger: Ledger) -> Snapshot:
    """With no server running."""
    return snapshot(ledger.state(), None, NOW)


@pytest.fixture
def read(ledger: Ledger) -> Callable[[], Snapshot]:
    return reader(ledger, known(datetime.now(UTC)))


@pytest.fixture
def server(read: Callable[[], Snapshot]) -> Iterator[Server]:
    running = serve(create_status_app(read, TOKEN), "127.0.0.1", 0)
    yield running
    running.stop()


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: http.client.HTTPMessage
    text: str


@dataclass(frozen=True)
class Asker:
    """Asks a server, without following where it points to."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(self, path: str, method: str = "GET", body: str | None = None) -> Answer:
        where = urlsplit(self.url)
        connection = http.client.HTTPConnection(where.netloc, timeout=30)
        if where.scheme == "https":
            connection = http.client.HTTPSConnection(where.netloc, timeout=30, context=ssl._create_unverified_context())
        try:
            headers = {name: value.encode("utf-8") for name, value in self.headers.items()}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read().decode("utf-8"))
        finally:
            connection.close()


@pytest.fixture
def stranger(server: Server) -> Asker:
    return Asker(server.url)


@pytest.fixture
def friend(server: Server) -> Asker:
    return Asker(server.url, {"Authorization": f"Bearer {TOKEN}"})


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate with its key in one file, which names no address."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(private + made.public_bytes(pem))
    return path
