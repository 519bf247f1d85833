"""What others send is read as what it should be, or refused: no text raises anything else."""

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.config.decode import decode_json
from atoll.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Said:
    word: str
    figure: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def test_plain_values_are_read() -> None:
    said = Said(word="ü😀", figure=2.0, figures={"a": 1.0}, words=["x"])
    assert (
        decode_json('{"word": "ü\\ud83d\\ude00", "figure": 2, "figures": {"a": 1}, "words": ["x"]}', Said, "x") == said
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"word": "x", "figure": 1' + "0" * 400 + "}",
        '{"word": "x", "figures": {"a": -1' + "0" * 400 + "}}",
        '{"word": "x", "figure": 1' + "0" * 5000 + "}",
        '{"word": "\\ud800"}',
        '{"word": "x", "words": ["\\udfff"]}',
        '{"word": "x", "figures": {"\\ud800": 1}}',
        '{"word": "x", "\\ud800": 1}',
        '{"word": {"\\ud800": 1}}',
        "[" * 100_000,
        '{"word":' * 100_000,
        "\ud800",
    ],
    ids=lambda text: text[:24],
)
def test_what_has_no_value_is_refused(text: str) -> None:
    with pytest.raises(DataError) as refusal:
        decode_json(text, Said, "said")
    str(refusal.value).encode()  # a reason is logged and written down


@given(
    st.dictionaries(st.sampled_from(["word", "figure", "figures", "words", "other"]), JSON).map(json.dumps) | st.text()
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        said = decode_json(text, Said, "said")
    except DataError:
        return
    assert isinstance(said, Said)
    said.word.encode()
