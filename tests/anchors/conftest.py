"""Tiny checkpoints of both families, made in a temporary folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from atoll.testing import toy_anchor


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str = "tiny", family: Literal["llama", "olmo2"] = "olmo2", tied: bool = True) -> Path:
        return toy_anchor(tmp_path / name, family, tie_word_embeddings=tied).path

    return make
