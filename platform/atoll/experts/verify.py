"""Everything that is verified of a package's members before a tensor is handed out."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from torch import Tensor

from atoll.errors import PackageError, PluginError
from atoll.experts import adapter, checks, tensors
from atoll.experts.card import ExpertCard
from atoll.experts.signing import OwnerKey, PublicKey
from atoll.experts.strict_json import json_object
from atoll.mixture.descriptor import Descriptor
from atoll.plugins import load

CARD = "card.yaml"
DESCRIPTOR = "descriptor.safetensors"
SIGNATURE = "signature.json"
_PEFT_WEIGHTS = "adapter_model.safetensors"
_DIGEST_DOMAIN = b"atoll expert package 1\n"
_SIGNATURE_DOMAIN = b"atoll expert signature 1\n"
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
    """

    card: ExpertCard
    weights: Mapping[str, Tensor]
    descriptor: Descriptor
    digest: str
    public_key: PublicKey
    extra: Mapping[str, bytes]


def verify_members(
    members: Mapping[str, bytes],
    *,
    trusted: PublicKey | None,
    anchor: str | None,
    expected_shapes: Mapping[str, tuple[int, ...]] | None,
) -> ExpertPackage:
    """Verify a package's members: who signed comes first, tensors last.

    Raises:
        PackageError: refused; the message gives the reason.
    """
    digest = content_digest(members)
    signer = _verify_signature(members, digest, trusted)
    for name in (CARD, DESCRIPTOR):
        if name not in members:
            raise PackageError(f"'{name}' is missing; pack it again with `atoll expert pack`")
    card = ExpertCard.from_yaml(members[CARD])
    if anchor is not None and card.anchor != anchor:
        raise PackageError(f"was trained against anchor {card.anchor}, but yours is {anchor}; use the same anchor")
    weights_name = weights_file(card.kind)
    extras = extra_files(weights_name)
    _expect_members(members, {CARD, DESCRIPTOR, SIGNATURE, weights_name, *extras}, card.kind)
    for name in extras:
        _inside(name, partial(adapter.check_adapter, members[name], card.settings))
    descriptor = _inside(DESCRIPTOR, lambda: _read_descriptor(members[DESCRIPTOR], card))
    found = _inside(weights_name, lambda: tensors.shapes(members[weights_name], {"format": "pt"}))
    if expected_shapes is not None:
        _inside(weights_name, lambda: tensors.expect_shapes(found, expected_shapes))
    return ExpertPackage(
        card=card,
        weights=_inside(weights_name, lambda: tensors.load(members[weights_name])),
        descriptor=descriptor,
        digest=digest,
        public_key=signer,
        extra={name: members[name] for name in extras},
    )


def content_digest(members: Mapping[str, bytes]) -> str:
    """``sha256:…`` over name, length and SHA-256 of every member but the signature, by name."""
    manifest = hashlib.sha256(_DIGEST_DOMAIN)
    for name in sorted(set(members) - {SIGNATURE}):
        manifest.update(f"{name} {len(members[name])} {hashlib.sha256(members[name]).hexdigest()}\n".encode())
    return f"sha256:{manifest.hexdigest()}"


def sign(digest: str, key: OwnerKey) -> bytes:
    """The ``signature.json`` of a content digest; the same key and digest give the same bytes."""
    return _signature_json(key.public, key.sign(_SIGNATURE_DOMAIN + digest.encode()))


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


def _verify_signature(members: Mapping[str, bytes], digest: str, trusted: PublicKey | None) -> PublicKey:
    if SIGNATURE not in members:
        raise PackageError("is not signed; its owner signs it with `atoll expert pack --key`")
    found = _inside(SIGNATURE, lambda: json_object(members[SIGNATURE]))
    public, signature = found.get("public_key"), found.get("signature")
    if (
        not isinstance(public, str)
        or not isinstance(signature, str)
        or not (_is_hex(public, 32) and _is_hex(signature, 64))
    ):
        raise PackageError(f"'{SIGNATURE}' has no Ed25519 public_key and signature in hexadecimal digits; {_TELL}")
    signer, raw = PublicKey.from_hex(public), bytes.fromhex(signature)
    if members[SIGNATURE] != _signature_json(signer, raw):
        raise PackageError(f"'{SIGNATURE}' is not as `atoll expert pack` writes it (ed25519, nothing else); {_TELL}")
    if not signer.verify(raw, _SIGNATURE_DOMAIN + digest.encode()):
        raise PackageError(f"the signature does not fit the content ({digest}): it was changed after signing; {_TELL}")
    if trusted is not None and signer != trusted:
        raise PackageError(
            f"is signed by {signer.fingerprint}, not by the trusted key {trusted.fingerprint}; ask the owner"
        )
    return signer


def _signature_json(public: PublicKey, signature: bytes) -> bytes:
    content = {"algorithm": "ed25519", "public_key": public.hex, "signature": signature.hex()}
    return json.dumps(content, indent=2).encode() + b"\n"


def _expect_members(members: Mapping[str, bytes], expected: set[str], kind: str) -> None:
    for name in sorted(set(members) - expected):
        raise PackageError(f"holds '{name}', which is no part of a package of kind '{kind}': remove it and pack again")
    for name in sorted(expected - set(members)):
        raise PackageError(f"'{name}' is missing, which every package of kind '{kind}' has; add it and pack again")


def _read_descriptor(data: bytes, card: ExpertCard) -> Descriptor:
    found = tensors.shapes(data, {"atoll": None})
    ranks = {name: len(shape) for name, shape in found.items()}
    if ranks.pop("unigram", 1) != 1 or ranks != {"mean": 2, "variance": 2}:
        raise PackageError(
            "must hold mean and variance, both [sites, dimension], and may hold unigram [vocabulary]; "
            "describe the domain again"
        )
    try:
        descriptor = Descriptor.from_bytes(data)
    except (OverflowError, AttributeError, LookupError) as error:
        raise PackageError("has a header with impossible values; describe the domain again") from error
    checks.text("embedder", descriptor.embedder)
    if descriptor.sites != card.sites:
        raise PackageError("describes other sites than the card names; describe the domain again for the card's sites")
    return descriptor


def _inside(name: str, check: Callable[[], _T]) -> _T:
    """Run a check of one member, whose name its refusals then begin with."""
    try:
        return check()
    except PackageError as error:
        raise PackageError(f"{name}: {error}") from error


def _is_hex(text: str, length: int) -> bool:
    return len(text) == 2 * length and set(text) <= set("0123456789abcdef")
