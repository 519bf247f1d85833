import dataclasses
import string
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll.errors import PackageError
from atoll.experts.card import Consent, ExpertCard, Privacy

if TYPE_CHECKING:
    from tests.experts.conftest import Example

LINES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cf")), max_size=30)
KEYS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
SCALARS = LINES | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(-1e15, 1e15)
BASE: dict[str, Any] = {
    "owner": "a",
    "anchor": "sha256:" + "0" * 64,
    "kind": "ffn",
    "sites": ("m.0",),
    "targets": ("m.0",),
    "workload": "text",
    "documents": {"train": 1, "validation": 1, "test": 1},
    "tokens": {"train": 1, "validation": 1, "test": 1},
}


@settings(max_examples=150, deadline=None)
@given(
    words=LINES.filter(str.strip),
    mapping=st.dictionaries(KEYS, SCALARS, max_size=4),
    metrics=st.dictionaries(KEYS, st.floats(-1e15, 1e15), max_size=4),
    purposes=st.lists(LINES.filter(str.strip), max_size=3),
    privacy=st.none() | st.builds(Privacy, epsilon=st.floats(0.01, 100), delta=st.floats(0, 0.5)),
)
def test_every_card_survives_yaml(
    words: str, mapping: dict[str, Any], metrics: dict[str, float], purposes: list[str], privacy: Privacy | None
) -> None:
    card = ExpertCard(
        **BASE,
        domain=words,
        licence=words,
        settings=mapping,
        training=mapping,
        metrics=metrics,
        privacy=privacy,
        consent=Consent(purposes=tuple(purposes), until=None, statement=words),
    )
    again = ExpertCard.from_yaml(card.to_yaml())
    assert again == card
    assert again.to_yaml() == card.to_yaml()
    assert {name: type(value) for name, value in again.settings.items()} == {
        name: type(value) for name, value in card.settings.items()
    }


def test_order_of_entries_does_not_change_the_bytes(ffn: "Example") -> None:
    turned = dict(reversed(list(ffn.card.training.items())))
    assert dataclasses.replace(ffn.card, training=turned).to_yaml() == ffn.card.to_yaml()


def test_a_card_keeps_its_own_copy(ffn: "Example") -> None:
    metrics = {"loss": 1.0}
    card = dataclasses.replace(ffn.card, metrics=metrics)
    metrics["loss"] = 0.0
    assert card.metrics == {"loss": 1.0}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", 2),
        ("format", True),
        ("owner", "St Mary"),
        ("owner", "../up"),
        ("owner", "a" * 64),
        ("owner", "line\n"),
        ("owner", 3),
        ("domain", "two\nlines"),
        ("domain", " "),
        ("domain", "\u202egnp.exe"),
        ("domain", "\x1b[2J"),
        ("domain", "x" * 5000),
        ("anchor", "sha256:short"),
        ("anchor", "ab" * 32),
        ("kind", ""),
        ("sites", ()),
        ("sites", "model.layers.0"),
        ("sites", ("a", "a")),
        ("targets", ("a b",)),
        ("targets", ("a..b",)),
        ("targets", (1,)),
        ("settings", {"rank": float("nan")}),
        ("settings", {"rank": [1]}),
        ("settings", {1: 1}),
        ("settings", []),
        ("training", {"steps": 2**63}),
        ("documents", {"train": 1}),
        ("documents", {"train": 1, "validation": 1, "test": 1, "other": 1}),
        ("tokens", {"train": -1, "validation": 1, "test": 1}),
        ("tokens", {"train": True, "validation": 1, "test": 1}),
        ("tokens", {"train": 1.5, "validation": 1, "test": 1}),
        ("metrics", {"loss": float("nan")}),
        ("metrics", {"loss": float("inf")}),
        ("metrics", {"loss": "low"}),
        ("metrics", {"loss": False}),
        ("privacy", {"epsilon": 1.0, "delta": 0.0}),
        ("licence", ""),
        ("consent", None),
    ],
)
def test_an_impossible_value_names_its_key(ffn: "Example", key: str, value: Any) -> None:
    with pytest.raises(PackageError, match=f"'{key}"):
        dataclasses.replace(ffn.card, **{key: value})


@pytest.mark.parametrize("until", ["2030-13-01", "tomorrow", "20301231", 2030])
def test_consent_ends_on_a_date(until: Any) -> None:
    with pytest.raises(PackageError, match=r"'consent\.until'"):
        Consent(purposes=("research",), until=until, statement="")


@pytest.mark.parametrize(("epsilon", "delta"), [(0.0, 0.1), (-1.0, 0.1), (float("inf"), 0.1), (1.0, 1.0), (1.0, -0.1)])
def test_privacy_must_mean_something(epsilon: float, delta: float) -> None:
    with pytest.raises(PackageError, match="'privacy"):
        Privacy(epsilon=epsilon, delta=delta)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("owner: st-mary", "ownre: st-mary", "did you mean 'owner'"),
        ("workload: text\n", "", "'workload' is missing"),
        ("  statement:", "  sttement:", "did you mean 'statement'"),
        ("owner: st-mary", "owner: st-mary\nowner: other", "'owner' twice"),
        ("owner: st-mary", "owner: &a st-mary", "alias or anchor"),
        ("owner: st-mary", "owner: !!python/name:os.system st-mary", "YAML tag"),
        ("owner: st-mary", "owner: !!str st-mary", "YAML tag"),
        ("until: '2030-12-31'", "until: 2030-12-31", r"'consent\.until'"),
        ("until: '2030-12-31'", "until: 2030-99-99", "not plain YAML"),
        ("steps: 3", "steps: .nan", r"'training\.steps'"),
        ("steps: 3", "steps: " + "9" * 5000, "not plain YAML"),
        ("steps: 3", "steps: [[[[[[1]]]]]]", "nested deeper"),
        ("steps: 3", "steps: {a: 1}", r"'training\.steps'"),
        ("privacy: null", "privacy: 1", "'privacy'"),
        ("privacy: null", "privacy: {epsilon: 1}", r"'privacy\.delta' is missing"),
        ("format: 1", "format: 2", "'format'"),
        ("owner: st-mary", "owner: st-mary\n? [a, b]\n: 1", "not plain YAML"),
    ],
)
def test_hostile_or_mistaken_yaml_is_refused(ffn: "Example", old: str, new: str, message: str) -> None:
    content = ffn.card.to_yaml().decode()
    assert content.count(old) == 1
    with pytest.raises(PackageError, match=message) as caught:
        ExpertCard.from_yaml(content.replace(old, new).encode())
    assert str(caught.value).startswith("card: ")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[1, 2]",
        b"just text",
        b"a: b: c",
        b"\x00",
        b"{" * 100_000,
        b"- " * 100_000,
        b"a: 1\n---\nb: 2\n",
        b"x" * 1_000_000,
        b"? " * 50_000,
        b"a: !!timestamp nonsense",
        b"a: !!bool nonsense",
    ],
)
def test_what_is_no_card_is_refused(data: bytes) -> None:
    with pytest.raises(PackageError, match=r"^card: "):
        ExpertCard.from_yaml(data)


def test_billion_laughs_is_refused_before_it_is_built() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    with pytest.raises(PackageError, match="alias or anchor"):
        ExpertCard.from_yaml("\n".join(lines).encode())


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200) | st.text(string.printable, max_size=200).map(str.encode))
def test_no_other_error_escapes(data: bytes) -> None:
    with pytest.raises(PackageError):
        ExpertCard.from_yaml(data)
