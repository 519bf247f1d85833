"""A sealed message says what its signer said, to the byte, or nothing."""

import pytest
from flwr.app import ConfigRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from atoll.errors import FederationError
from atoll.experts.signing import OwnerKey
from atoll.federation.envelope import RECORD, ConfigScalar, seal, unseal

KEY = OwnerKey.generate()
TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)


def fields(text: str = "a word", chunk: bytes = b"a piece") -> dict[str, ConfigScalar]:
    """A genuine envelope's."""
    return dict(seal(text, KEY, chunk).config_records[RECORD])


def opened(changed: dict[str, ConfigScalar]) -> tuple[str, bytes]:
    text, chunk, signer = unseal(RecordDict({RECORD: ConfigRecord(changed)}))
    assert signer == KEY.public
    return text, chunk


@given(TEXTS, st.binary(max_size=60))
def test_what_was_sealed_is_unsealed(text: str, chunk: bytes) -> None:
    assert unseal(seal(text, KEY, chunk)) == (text, chunk, KEY.public)


@given(TEXTS, st.binary(max_size=60), st.data())
def test_any_changed_character_or_byte_is_found(text: str, chunk: bytes, data: st.DataObject) -> None:
    genuine = fields(text, chunk)
    name = data.draw(st.sampled_from(["json", "chunk", "key", "signature"]))
    other: ConfigScalar = data.draw(st.binary(max_size=80)) if name == "chunk" else data.draw(TEXTS)
    if other != genuine[name]:
        with pytest.raises(FederationError):
            opened({**genuine, name: other})


@given(st.binary(min_size=1, max_size=30), st.integers(0, 30))
def test_bytes_do_not_move_between_text_and_piece(content: bytes, cut: int) -> None:
    text, chunk = content.hex()[:cut], content.hex()[cut:].encode()
    whole = content.hex()
    if chunk:
        with pytest.raises(FederationError, match="signature"):
            opened({**fields(text, chunk), "json": whole, "chunk": b""})


def test_parts_of_two_genuine_messages_do_not_make_a_third() -> None:
    one, other = fields("one", b"1"), fields("other", b"2")
    for name in ("json", "chunk", "signature"):
        with pytest.raises(FederationError, match="signature"):
            opened({**one, name: other[name]})


def test_who_takes_a_message_as_its_own_must_sign_it_anew() -> None:
    thief = OwnerKey.generate()
    with pytest.raises(FederationError, match="signature"):
        opened({**fields(), "key": thief.public.hex})


@pytest.mark.parametrize("name", ["json", "chunk", "key", "signature"])
@pytest.mark.parametrize("value", [None, 1, 1.5, True, b"x" * 64, "x", [1], ["x"], ""], ids=repr)
def test_missing_fields_and_other_types_are_refused(name: str, value: ConfigScalar | None) -> None:
    changed = fields()
    del changed[name]
    if value is not None:
        changed[name] = value
    with pytest.raises(FederationError):
        opened(changed)


@pytest.mark.parametrize("signature", ["", "00" * 63, "00" * 64, "00" * 65, "zz" * 64, "²" * 128])
def test_odd_signatures_are_refused(signature: str) -> None:
    with pytest.raises(FederationError):
        opened({**fields(), "signature": signature})


@pytest.mark.parametrize("content", [RecordDict(), RecordDict({RECORD: ConfigRecord({})})])
def test_what_is_no_envelope_is_refused(content: RecordDict) -> None:
    with pytest.raises(FederationError, match="sealed"):
        unseal(content)


def test_a_message_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atoll.federation.envelope._LONGEST", 100)
    assert unseal(seal("x" * 60, KEY, b"x" * 40))[0] == "x" * 60
    with pytest.raises(FederationError, match="above the limit"):
        unseal(seal("x" * 60, KEY, b"x" * 41))


def test_a_paper_or_a_package_signed_by_the_same_key_is_no_message() -> None:
    text = "a word"
    with pytest.raises(FederationError, match="signature"):
        opened({**fields(text, b""), "signature": KEY.sign(text.encode()).hex()})
