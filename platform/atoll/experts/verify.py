"""Everything that is verified of a package's members before a tensor is handed out."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from torch import Tensor

from atoll.errors import ConfigError, PackageError, PluginError
from atoll.experts import adapter, checks, manifest, strict_yaml, tensors
from atoll.experts.archive import Member, Sums
from atoll.experts.card import ExpertCard
from atoll.experts.files import Content
from atoll.experts.manifest import SIGNATURE_DOMAIN, SignedCard, manifest_digest, manifest_of
from atoll.experts.signing import PublicKey, Signer
from atoll.experts.strict_json import json_object
from atoll.experts.tensors import StoredTensor
from atoll.mixture.descriptor import Descriptor
from atoll.plugins import load
from atoll.replay import prior
from atoll.replay.prior import Prior

CARD = manifest.CARD
DESCRIPTOR = "descriptor.safetensors"
SIGNATURE = "signature.json"
PRIOR = "prior.safetensors"
CONTEXT = "context.safetensors"
LIMITS: Mapping[str, int] = {
    CARD: strict_yaml.LIMIT_BYTES,
    DESCRIPTOR: 32 * 1024**2,  # 500 sites of 8192 dimensions
    SIGNATURE: 4096,
    adapter.NAME: 1024**2,
    PRIOR: prior.LIMIT,
    CONTEXT: 64 * 1024**2,  # 200,000 locations
}
"""Most bytes of the members that are held whole; the weights are not, and have no limit but the file's."""

_PEFT_WEIGHTS = "adapter_model.safetensors"
_TELL = "do not use it, and tell its owner"
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class ExpertPackage:
    """A verified expert package.

    Attributes:
        card: What is known of the expert.
        weights: Tensors by name.
        descriptor: The owner's domain.
        digest: Content digest; the same whoever signs.
        public_key: Of the signer.
        extra: The kind's other files by name, such as ``adapter_config.json``.
        prior: What replay may know of the owner's data; ``None`` where it permits nothing.
        context: What is public of its domain and replay needs, as the workload writes it; ``None`` for nothing.
        signed: The card as its owner signed it, for a ledger to keep; ``None`` where the package was not read.
    """

    card: ExpertCard
    weights: Mapping[str, Tensor]
    descriptor: Descriptor
    digest: str
    public_key: PublicKey
    extra: Mapping[str, bytes]
    prior: Prior | None = None
    context: bytes | None = None
    signed: SignedCard | None = None


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class PackageFacts:
    """What is known of a verified expert package without its weights.

    Attributes:
        card: What is known of the expert.
        tensors: Data types and shapes of the weights by name, in the order of the file.
        descriptor: The owner's domain.
        digest: Content digest; the same whoever signs.
        public_key: Of the signer.
        extra: The kind's other files by name, such as ``adapter_config.json``.
        prior: What replay may know of the owner's data; ``None`` where it permits nothing.
        context: What is public of its domain and replay needs, as the workload writes it; ``None`` for nothing.
        signed: The card as its owner signed it, for a ledger to keep.
    """

    card: ExpertCard
    tensors: Mapping[str, StoredTensor]
    descriptor: Descriptor
    digest: str
    public_key: PublicKey
    extra: Mapping[str, bytes]
    prior: Prior | None = None
    context: bytes | None = None
    signed: SignedCard


Shapes = Mapping[str, tuple[int, ...]]
ExpectedShapes = Shapes | Callable[[ExpertCard], Shapes]
"""Names and shapes that the weights must have, or what tells them from the card, and may refuse the card."""


def verify_members(
    members: Mapping[str, Member],
    *,
    trusted: PublicKey | None,
    anchor: str | None,
    expected_shapes: ExpectedShapes | None,
) -> PackageFacts:
    """Verify a package's members, with bounded memory: who signed comes first, tensors last.

    Raises:
        PackageError: refused; the message gives the reason.
    """
    facts, header = _verify_all_but_tensors(members, trusted, anchor, expected_shapes)
    weights_name = weights_file(facts.card.kind)
    _inside(weights_name, lambda: tensors.check(members[weights_name], header))
    return facts


def load_members(
    members: Mapping[str, Member],
    *,
    trusted: PublicKey | None,
    anchor: str | None,
    expected_shapes: ExpectedShapes | None,
) -> ExpertPackage:
    """Verify a package's members as :func:`verify_members` does, and hand out the weights.

    Raises:
        PackageError: refused; the message gives the reason.
    """
    facts, header = _verify_all_but_tensors(members, trusted, anchor, expected_shapes)
    weights_name = weights_file(facts.card.kind)
    return ExpertPackage(
        card=facts.card,
        weights=_inside(weights_name, lambda: tensors.load(members[weights_name], header)),
        descriptor=facts.descriptor,
        digest=facts.digest,
        public_key=facts.public_key,
        extra=facts.extra,
        prior=facts.prior,
        context=facts.context,
        signed=facts.signed,
    )


def content_digest(members: Mapping[str, bytes]) -> str:
    """``sha256:…`` over name, length and SHA-256 of every member but the signature, by name."""
    return digest_of({name: Sums.of(Content.of(data)) for name, data in members.items()})


def digest_of(sums: Mapping[str, Sums]) -> str:
    """The :func:`content_digest` of members that have been read already."""
    return manifest_digest(_manifest(sums))


def _manifest(sums: Mapping[str, Sums]) -> str:
    return manifest_of({name: (each.size, each.sha256) for name, each in sums.items() if name != SIGNATURE})


def sign(digest: str, key: Signer) -> bytes:
    """The ``signature.json`` of a content digest; the same key and digest give the same bytes."""
    return _signature_json(key.public, key.sign(SIGNATURE_DOMAIN + digest.encode()))


def weights_file(kind: str) -> str:
    """Name of the file that a kind's weights are in.

    Raises:
        PackageError: the kind is not installed here.
    """
    try:
        return str(load("atoll.experts", kind).weights_file)
    except PluginError as error:
        raise PackageError(f"is of kind '{kind}', which is not installed here: {error}") from error


def extra_files(weights_name: str) -> tuple[str, ...]:
    """Names of the files that must come with a weights file: PEFT's goes with its configuration."""
    return (adapter.NAME,) if weights_name == _PEFT_WEIGHTS else ()


def _verify_all_but_tensors(
    members: Mapping[str, Member],
    trusted: PublicKey | None,
    anchor: str | None,
    expected_shapes: ExpectedShapes | None,
) -> tuple[PackageFacts, tensors.Header]:
    """The facts, which hold if the weights' tensors are sane as well, and the header of the weights."""
    digest = digest_of({name: member.sums for name, member in members.items()})
    signer, signature = _verify_signature(members, digest, trusted)
    for name in (CARD, DESCRIPTOR):
        if name not in members:
            raise PackageError(f"'{name}' is missing; pack it again with `atoll expert pack`")
    written = members[CARD].read()
    card = ExpertCard.from_yaml(written)
    if anchor is not None and card.anchor != anchor:
        raise PackageError(f"was trained against anchor {card.anchor}, but yours is {anchor}; use the same anchor")
    weights_name = weights_file(card.kind)
    extras = extra_files(weights_name)
    told = {name for name in (PRIOR, CONTEXT) if name in members or (name == PRIOR and card.replay)}
    if PRIOR in members and not card.replay:
        raise PackageError(f"holds '{PRIOR}', which the card does not declare under 'replay'; remove it and pack again")
    _expect_members(members, {CARD, DESCRIPTOR, SIGNATURE, weights_name, *extras, *told}, card.kind)
    extra = {name: members[name].read() for name in extras}
    for name, content in extra.items():
        _inside(name, partial(adapter.check_adapter, content, card.settings))
    known = _inside(PRIOR, lambda: _read_prior(members[PRIOR].read(), card)) if card.replay else None
    descriptor = _inside(DESCRIPTOR, lambda: _read_descriptor(members[DESCRIPTOR].read(), card))
    header = _inside(weights_name, lambda: tensors.read_header(members[weights_name].content, {"format": "pt"}))
    if expected_shapes is not None:
        expected = expected_shapes(card) if callable(expected_shapes) else expected_shapes
        _inside(weights_name, lambda: tensors.expect_shapes(header.shapes, expected))
    facts = PackageFacts(
        card=card,
        tensors=header.tensors,
        descriptor=descriptor,
        digest=digest,
        public_key=signer,
        extra=extra,
        prior=known,
        context=members[CONTEXT].read() if CONTEXT in members else None,
        signed=SignedCard(
            card=written.decode("utf-8"),
            manifest=_manifest({name: member.sums for name, member in members.items()}),
            signature=signature.hex(),
        ),
    )
    return facts, header


def _verify_signature(members: Mapping[str, Member], digest: str, trusted: PublicKey | None) -> tuple[PublicKey, bytes]:
    if SIGNATURE not in members:
        raise PackageError("is not signed; its owner signs it with `atoll expert pack --key`")
    written = members[SIGNATURE].read()
    found = _inside(SIGNATURE, lambda: json_object(written))
    public, signature = found.get("public_key"), found.get("signature")
    if (
        not isinstance(public, str)
        or not isinstance(signature, str)
        or not (_is_hex(public, 32) and _is_hex(signature, 64))
    ):
        raise PackageError(f"'{SIGNATURE}' has no Ed25519 public_key and signature in hexadecimal digits; {_TELL}")
    try:
        signer, raw = PublicKey.from_hex(public), bytes.fromhex(signature)
    except ConfigError as error:
        raise PackageError(f"'{SIGNATURE}': {error}") from error
    if written != _signature_json(signer, raw):
        raise PackageError(f"'{SIGNATURE}' is not as `atoll expert pack` writes it (ed25519, nothing else); {_TELL}")
    if not signer.verify(raw, SIGNATURE_DOMAIN + digest.encode()):
        raise PackageError(f"the signature does not fit the content ({digest}): it was changed after signing; {_TELL}")
    if trusted is not None and signer != trusted:
        raise PackageError(
            f"is signed by {signer.fingerprint}, not by the trusted key {trusted.fingerprint}; ask the owner"
        )
    return signer, raw


def _signature_json(public: PublicKey, signature: bytes) -> bytes:
    content = {"algorithm": "ed25519", "public_key": public.hex, "signature": signature.hex()}
    return json.dumps(content, indent=2).encode() + b"\n"


def _expect_members(members: Collection[str], expected: set[str], kind: str) -> None:
    for name in sorted(set(members) - expected):
        raise PackageError(f"holds '{name}', which is no part of a package of kind '{kind}': remove it and pack again")
    for name in sorted(expected - set(members)):
        raise PackageError(f"'{name}' is missing, which every package of kind '{kind}' has; add it and pack again")


def _read_descriptor(data: bytes, card: ExpertCard) -> Descriptor:
    header = tensors.read_header(Content.of(data), {"atoll": None})
    ranks = {name: len(shape) for name, shape in header.shapes.items()}
    if ranks.pop("unigram", 1) != 1 or ranks.pop("directions", 3) != 3 or ranks != {"mean": 2, "variance": 2}:
        raise PackageError(
            "must hold mean and variance, both [sites, dimension], and may hold unigram [vocabulary] and directions "
            "[sites, R, dimension]; describe the domain again"
        )
    try:
        descriptor = Descriptor.from_bytes(data)
    except (OverflowError, AttributeError, LookupError) as error:
        raise PackageError("has a header with impossible values; describe the domain again") from error
    checks.text("embedder", descriptor.embedder)
    if descriptor.sites != card.sites:
        raise PackageError("describes other sites than the card names; describe the domain again for the card's sites")
    return descriptor


def _read_prior(data: bytes, card: ExpertCard) -> Prior:
    found = Prior.from_bytes(data)
    if found.lines() != card.replay:
        raise PackageError(
            "keeps other things of the owner's data than the card declares under 'replay'; pack it again"
        )
    return found


def _inside(name: str, check: Callable[[], _T]) -> _T:
    """Run a check of one member, whose name its refusals then begin with."""
    try:
        return check()
    except PackageError as error:
        raise PackageError(f"{name}: {error}") from error


def _is_hex(text: str, length: int) -> bool:
    return len(text) == 2 * length and set(text) <= set("0123456789abcdef")
