"""The coordinator's folder: made once; its keys and its authority are never made again."""

import logging
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from atoll.anchors import resolve
from atoll.config import read_config, to_yaml
from atoll.coordinator.plugin_requirements import check_fitting, check_router, check_rows
from atoll.coordinator.stream.config import RefitConfig, generator_for
from atoll.errors import ConfigError
from atoll.experts.files import write_atomic
from atoll.experts.signing import OwnerKey, PublicKey
from atoll.federation.certificates import Tls, check_certificate, make_certificates
from atoll.federation.handover import Invitation
from atoll.federation.units import Choice
from atoll.ledger import Ledger
from atoll.ledger.head_file import head_file_of
from atoll.plugins import build
from atoll.releases.trust import ReleaseMemory

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StatusConfig:
    """The status page.

    Attributes:
        host: To listen on; other machines see it only on an address that they reach.
        port: To listen on; 0 for any that is free.
    """

    host: str = "127.0.0.1"
    port: int = 9080


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """A coordinator that stays up.

    Attributes:
        hosts: Names and addresses by which nodes reach it; the first is in the invitation.
        bind: Address to listen on.
        port: To listen on.
        anchor: ``atoll-3m``, ``smollm2`` or the path of a local Llama or Olmo2 model.
        integrator: What makes releases.
        router: Over what.
        replay: The generator of replay; with an empty name, the one of the anchor's workload.
        refit: How a release's router is fitted on synthetic samples; not at all unless ``steps`` says so.
        ledger: A database URL; empty for ``ledger.db`` in the folder.
        certificate: PEM of the operator's own TLS certificate; empty for one of our own small authority.
        key: Of that certificate.
        ca: PEM of who signed it.
        piece_mib: Size of the pieces in which experts travel.
        harm: Nats a token that an expert may cost on another silo's data before it is flagged.
        release_days: How long the signature of a release holds; a coordinator that is up signs its latest one anew
            when half of that has passed.
        key_days: How long an owner's key is taken for new experts and permissions, from its admission or rotation; 0
            for ever.
        cosigners: Members that must have signed a newcomer's key, once there are so many; 0 for none.
        roots: PEM file of authorities whose certificate admits as well; empty for none.
        two_person: Operators' roles, of ``operate``, ``admit`` and ``release``, whose acts a second one must confirm.
        status: The status page.
    """

    hosts: list[str]
    bind: str = "0.0.0.0"
    port: int = 9443
    anchor: str = "atoll-3m"
    integrator: Choice = field(default_factory=lambda: Choice(name="flexolmo"))
    router: Choice = field(default_factory=lambda: Choice(name="naive-bayes"))
    replay: Choice = field(default_factory=lambda: Choice(name=""))
    refit: RefitConfig = field(default_factory=lambda: RefitConfig(steps=0))
    ledger: str = ""
    certificate: str = ""
    key: str = ""
    ca: str = ""
    piece_mib: int = 8
    harm: float = 0.05
    release_days: int = 90
    key_days: int = 0
    cosigners: int = 0
    roots: str = ""
    two_person: list[str] = field(default_factory=list)
    status: StatusConfig = field(default_factory=StatusConfig)

    @property
    def own_host(self) -> str:
        """Where the coordinator reaches its own SuperLink; an operator's certificate is for its host's name only."""
        if self.certificate:
            return self.hosts[0]
        return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(self.bind, self.bind)

    def generator(self, workload: str) -> Choice:
        """The generator of replay for an anchor's workload.

        Raises:
            ConfigError: there is none for it, or another workload's was named.
        """
        return generator_for(workload, self.replay)

    def check(self) -> None:
        """Raise ConfigError for what cannot be."""
        if not self.hosts:
            raise ConfigError("hosts is empty: name at least one host or address by which nodes reach the coordinator")
        if odd := [host for host in self.hosts if not host or "[" in host or "/" in host]:
            raise ConfigError(
                f"hosts names '{odd[0]}': write a name or an address alone, such as atoll.example.org or 2001:db8::7"
            )
        if not 1 <= self.port < 65536:
            raise ConfigError(f"port is {self.port}; it is 1 to 65535")
        if not 1 <= self.piece_mib <= 32:
            raise ConfigError(f"piece_mib is {self.piece_mib}; it is 1 to 32")
        if self.release_days < 1:
            raise ConfigError(f"release_days is {self.release_days}; it must be at least 1")
        if self.key_days < 0:
            raise ConfigError(f"key_days is {self.key_days}; it must be at least 0, for ever")
        if set(self.two_person) - {"operate", "admit", "release"}:
            raise ConfigError(f"two_person is {self.two_person}; it names roles of operate, admit, release")
        given = [name for name in ("certificate", "key", "ca") if getattr(self, name)]
        if given and len(given) < 3:
            raise ConfigError("give certificate, key and ca together, or none of them")

    def check_plugins(self) -> None:
        """Raise ConfigError or PluginError for plug-ins that would fail once owners have trained.

        What descriptors will hold is said by whoever calls for training, so they are taken to hold everything.
        """
        build("atoll.integrators", self.integrator.name, self.integrator.options)
        check_rows(check_router(self.router), shares=True, directions=True)
        check_fitting(self.router, self.integrator, self.refit, shares=True, directions=True)


@dataclass(frozen=True, slots=True)
class ServerFolder:
    """Where everything of a coordinator is."""

    root: Path

    @property
    def config(self) -> Path:
        """``coordinator.yaml``."""
        return self.root / "coordinator.yaml"

    @property
    def key(self) -> Path:
        """Signs what nodes are asked."""
        return self.root / "coordinator.key"

    @property
    def invitation(self) -> Path:
        """For institutions."""
        return self.root / "invitation.json"

    @property
    def packages(self) -> Path:
        """Experts, by content."""
        return self.root / "packages"

    @property
    def releases(self) -> Path:
        """Releases, by number."""
        return self.root / "releases"

    @property
    def flower(self) -> Path:
        """SuperLink's state and log."""
        return self.root / "flower"

    def read_config(self) -> ServerConfig:
        """The configuration, checked.

        Raises:
            ConfigError: there is none, or it cannot be used.
        """
        if not self.config.exists():
            raise ConfigError(
                f"{self.root}: is no coordinator's folder, for it has no coordinator.yaml; "
                "`atoll coordinator init` makes one"
            )
        config = read_config(ServerConfig, self.config, [])
        try:
            config.check()
        except ConfigError as error:
            raise ConfigError(f"{self.config}: {error}") from error
        return config

    @property
    def ledger_head(self) -> Path:
        """Where the ledger's head is noted, signed: beside a file, and in the folder for a database elsewhere."""
        named = self.read_config().ledger
        return self.root / "ledger.head" if named else head_file_of(self.root / "ledger.db")

    @property
    def witnesses(self) -> Path:
        """Receipts that nodes showed of histories which the ledger does not hold."""
        return self.root / "witnesses"

    def open_ledger(self, *, create: bool = False, any_head: bool = False) -> Ledger:
        """The ledger that the configuration names; what is written is signed for with the coordinator's key.

        Args:
            create: Make one where there is none.
            any_head: Open it although it is not the one that was noted last.

        Raises:
            ConfigError, LedgerError: it cannot be opened.
        """
        named = self.read_config().ledger
        return Ledger.open(
            named or self.root / "ledger.db",
            create=create or bool(named),
            head_file=self.ledger_head,
            signer=OwnerKey.load(self.key) if self.key.exists() else None,
            any_head=any_head,
        )

    def tls(self) -> Tls:
        """The certificates: the operator's, or those of our own authority, made where they are missing.

        Raises:
            ConfigError: they cannot be used.
        """
        config = self.read_config()
        if not config.certificate:
            names = dict.fromkeys([*config.hosts, config.own_host, "localhost"])
            return make_certificates(self.root / "tls", list(names))
        given = [Path(os.path.expanduser(text)) for text in (config.ca, config.certificate, config.key)]
        found = Tls(*(path if path.is_absolute() else self.root / path for path in given))
        check_certificate(found.certificate, found.key)
        return found


def init_server(root: Path, config: ServerConfig) -> ServerFolder:
    """Make a coordinator's folder, or complete one; keys, authority and configuration that are there stay.

    Args:
        root: The folder.
        config: What to write where nothing is written yet.

    Raises:
        ConfigError: a value that cannot be.
        AnchorError: no such anchor.
    """
    config.check()
    folder = ServerFolder(root)
    fresh = not root.exists() or not any(root.iterdir())
    try:
        _complete(folder, config)
    except BaseException:
        if fresh and root.exists():  # a folder that was half made would stand in the way of the next try
            shutil.rmtree(root)
        raise
    return folder


def _complete(folder: ServerFolder, config: ServerConfig) -> None:
    root = folder.root
    anchor = resolve(folder.read_config().anchor if folder.config.exists() else config.anchor)
    try:
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"{root}: cannot be made this user's own ({error.strerror}); name a new folder") from error
    if not folder.config.exists():
        write_atomic(folder.config, to_yaml(config).encode())
    if not folder.key.exists():
        key = OwnerKey.generate()
        key.save(folder.key)
        key.public.save(root / "coordinator.pub")
    know_own(OwnerKey.load(folder.key).public)
    tls, key, kept = folder.tls(), OwnerKey.load(folder.key), folder.read_config()
    host = kept.hosts[0]
    invitation = Invitation(
        public_key=key.public.hex,
        address=f"[{host}]:{kept.port}" if ":" in host else f"{host}:{kept.port}",
        ca=tls.ca.read_text("ascii"),
        anchor=kept.anchor,
        anchor_digest=anchor.digest,
    )
    invitation.signed(key).save(folder.invitation)
    folder.open_ledger(create=True).close()


def know_own(key: PublicKey) -> None:
    """Let this user open the coordinator's releases without naming its key; others name it."""
    try:
        ReleaseMemory().know(key)
    except (ConfigError, OSError) as error:
        log.warning("this user's releases.json cannot be written, so its commands need --key: %s", error)
