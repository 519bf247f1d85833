import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.demo.documents import Document, choose, distinct

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "bdfgklmnprst"]


def prose(seed: int, words: int = 200) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z]+", text.lower())
    return {tuple(words[i : i + 8]) for i in range(len(words) - 7)}


@pytest.mark.parametrize(
    "copy",
    [
        str.upper,
        lambda text: text.replace(" ", ",\n  "),
        lambda text: re.sub(r"(\w+ \w+ \w+)", r"\1 17", text),  # numbered
        lambda text: text[: len(text) // 2],  # a part
        lambda text: " ".join(text.split()[5:] + WORDS[:5]),
        lambda text: text + " " + prose(99, 100),  # with something of its own
    ],
)
def test_a_near_copy_goes_and_the_longer_text_stays(copy: object) -> None:
    assert callable(copy)
    original = Document("a", prose(1))
    near = Document("b", copy(original.text))
    other = Document("c", prose(2))
    kept = distinct([original, near, other])
    longer = max((original, near), key=lambda each: (len(each.text), each.key == "a"))
    assert kept == sorted([longer, other], key=lambda each: each.key)


def test_different_texts_that_share_a_paragraph_stay() -> None:
    shared = prose(3, 30)
    documents = [Document(str(n), f"{prose(n + 10)} {shared} {prose(n + 20)}") for n in range(5)]
    assert distinct(documents) == documents


def test_short_and_empty_texts() -> None:
    documents = [Document("a", "four words of text"), Document("b", "Four words of text!"), Document("c", " 12 \n")]
    assert distinct(documents) == documents[1:2]


@given(seeds=st.lists(st.integers(0, 6), min_size=1, max_size=8), shuffle=st.randoms(use_true_random=False))
def test_no_kept_document_is_mostly_another_and_order_does_not_matter(seeds: list[int], shuffle: random.Random) -> None:
    documents = [Document(f"{n}", prose(seed, 40) + " " + prose(100 + n, 10 * n)) for n, seed in enumerate(seeds)]
    kept = distinct(documents, overlap=0.3)
    for short in kept:
        for long in kept:
            if (len(long.text), short.key) > (len(short.text), long.key):
                own = shingles(short.text)
                assert len(own & shingles(long.text)) <= 0.3 * len(own)
    shuffle.shuffle(documents)
    assert distinct(documents, overlap=0.3) == kept


@given(characters=st.integers(0, 5000), shuffle=st.randoms(use_true_random=False))
def test_the_choice_is_fixed_and_a_larger_one_holds_the_smaller(characters: int, shuffle: random.Random) -> None:
    documents = [Document(f"{n:02d}", "x" * (50 + 7 * n)) for n in range(30)]
    chosen = choose(documents, characters)
    assert sum(len(each.text) for each in chosen) >= min(characters, sum(len(each.text) for each in documents))
    assert sum(len(each.text) for each in chosen) < characters + 260
    assert set(chosen) <= set(choose(documents, characters + 500))
    shuffle.shuffle(documents)
    assert choose(documents, characters) == chosen
