from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest


class ByteTokenizer:
    """One token a byte, and 256 for the end of a text; counts what it is asked to do."""

    eos_token_id: int | None = 256
    unk_token_id: int | None = None
    added_tokens_decoder: ClassVar[dict[int, str]] = {}

    def __init__(self, name: str = "bytes") -> None:
        self.name = name
        self.characters = 0

    @property
    def backend_tokenizer(self) -> "ByteTokenizer":
        return self

    def to_str(self) -> str:
        return f'{{"name": "{self.name}", "truncation": null, "padding": null}}'

    def get_vocab(self) -> dict[str, int]:
        return {str(token): token for token in range(257)}

    def __call__(self, texts: list[str], *, add_special_tokens: bool, **rest: Any) -> dict[str, list[list[int]]]:
        assert not add_special_tokens
        self.characters += sum(map(len, texts))
        return {"input_ids": [list(text.encode()) for text in texts]}

    def decode(self, ids: list[int], **rest: Any) -> str:
        return bytes(ids).decode(errors="replace")


@pytest.fixture
def tokenizer() -> ByteTokenizer:
    return ByteTokenizer()


@pytest.fixture
def new_tokenizer() -> Callable[[str], ByteTokenizer]:
    return ByteTokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty short, different documents."""
    place = tmp_path / "silo"
    place.mkdir()
    for number in range(40):
        (place / f"{number:02}.txt").write_text(f"Document {number}. " + f"word{number} " * (10 + number), "utf-8")
    return place
