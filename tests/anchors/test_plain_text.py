"""Text is data: control tokens come from templates only, whatever a document mentions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from tokenizers.decoders import ByteLevel
from transformers import PreTrainedTokenizerFast

from atoll.anchors import resolve
from atoll.anchors.plain_text import control_tokens, text_ids
from atoll.testing.anchors import toy_anchor

CONTROLS = ["<|endoftext|>", "<|im_start|>", "<think>", "[MASK]"]
WORDS = st.lists(st.one_of(st.sampled_from(CONTROLS), st.text(max_size=8)), max_size=8).map("".join)


def bytes_tokenizer() -> PreTrainedTokenizerFast:
    """Every byte is a token; two controls are special, and two were added as ordinary ones."""
    alphabet = {character: number for number, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = ByteLevel()
    backend.add_special_tokens([AddedToken(each, special=True) for each in CONTROLS[:2]])
    backend.add_tokens([AddedToken(each, special=False) for each in CONTROLS[2:]])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=CONTROLS[0])


def unigram_tokenizer() -> PreTrainedTokenizerFast:
    """Its vocabulary itself holds the control tokens, as those made by SentencePiece do."""
    pieces = [("<unk>", 0.0), ("</s>", -1.0), *((chr(code), -3.0) for code in range(32, 127))]
    backend = Tokenizer(models.Unigram(pieces, unk_id=0))
    backend.add_special_tokens([AddedToken("<unk>", special=True), AddedToken("</s>", special=True)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="<unk>")


@pytest.fixture(scope="module", params=["bytes", "toy", "atoll-3m"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if request.param == "bytes":
        yield bytes_tokenizer()
    elif request.param == "toy":
        yield toy_anchor(tmp_path_factory.mktemp("anchor")).tokenizer()
    else:
        yield resolve(request.param).tokenizer()


def test_a_control_token_that_is_mentioned_is_text(tokenizer: Any) -> None:
    controls = control_tokens(tokenizer)
    assert controls
    for token, number in controls.items():
        said = f"The marker {token} ends a text."
        assert number in tokenizer(said, add_special_tokens=False)["input_ids"], "what it would be taken for"
        (ids,) = text_ids(tokenizer, [said])
        assert set(controls.values()).isdisjoint(ids)
        assert tokenizer.decode(ids) == said


@given(text=WORDS)
def test_nothing_that_anybody_writes_steers(text: str) -> None:
    made = bytes_tokenizer()
    (ids,) = text_ids(made, [text])
    assert set(control_tokens(made).values()).isdisjoint(ids)
    assert made.decode(ids) == text
    if not any(each in text for each in CONTROLS):
        assert ids == made(text, add_special_tokens=False)["input_ids"]


def test_ordinary_text_is_encoded_as_ever(tokenizer: Any) -> None:
    said = ["A plain text, of two sentences.  And\n\nparagraphs: naïve, 東京, 1 < 2 | 3 > 2.", ""]
    assert text_ids(tokenizer, said) == [tokenizer(each, add_special_tokens=False)["input_ids"] for each in said]


@pytest.mark.parametrize("said", ["</s>", "a</s></s>b", "an </s> in it", "</s", "<</s>s>"])
def test_a_vocabulary_that_holds_control_tokens_does_not_match_them(said: str) -> None:
    made = unigram_tokenizer()
    (ids,) = text_ids(made, [said])
    assert made.eos_token_id not in ids
    assert "".join(made.convert_ids_to_tokens(ids)) == said


def test_what_text_makes_unknown_is_unknown() -> None:
    made = unigram_tokenizer()
    assert made.unk_token_id in text_ids(made, ["é"])[0]


def test_a_silos_document_that_mentions_the_end_is_one_document(tmp_path: Path) -> None:
    from atoll.workloads.text import TextConfig
    from atoll.workloads.text.workload import Text

    tokenizer = toy_anchor(tmp_path / "anchor").tokenizer()
    end = tokenizer.eos_token_id
    (tmp_path / "data").mkdir()
    for number in range(40):
        text = f"{number} {tokenizer.eos_token} in the middle of a text of some length " * 3
        (tmp_path / "data" / f"{number}.txt").write_text(text)
    config = TextConfig(paths=[str(tmp_path / "data")], sequence_length=16)
    workload = Text(config, tokenizer, tmp_path / "cache")
    workload.prepare()
    windows = [workload.window("train", index) for index in range(workload.windows("train"))]
    ends = sum(int((window == end).sum()) for window in windows)
    assert ends <= workload.counts["train"].documents


def test_an_end_of_text_that_stands_for_unknown_characters_too_is_text_where_it_is_mentioned() -> None:
    """As SmolLM2's does."""
    made = bytes_tokenizer()
    made.unk_token = CONTROLS[0]
    said = f"a {CONTROLS[0]} b"
    (ids,) = text_ids(made, [said])
    assert made.unk_token_id == made.eos_token_id
    assert made.eos_token_id not in ids
    assert made.decode(ids) == said
