"""The toys are what they say, and nothing of the product leans on them."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import torch

import atoll.testing
from atoll.anchors import Anchor
from atoll.plugins import names
from atoll.testing import toy_anchor, toy_experts, toy_frame, toy_silos

ROOT = Path(__file__).parents[2]
SOURCES = ("platform", "clients", "strategies", "benchmarks")


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Anchor:
    return toy_anchor(tmp_path_factory.mktemp("anchor"))


def test_the_public_face_is_sorted_and_there() -> None:
    assert atoll.testing.__all__ == sorted(atoll.testing.__all__)
    assert all(hasattr(atoll.testing, name) for name in atoll.testing.__all__)


@pytest.mark.parametrize("family", ["llama", "olmo2"])
def test_an_anchor_is_its_arguments(family: Literal["llama", "olmo2"], tmp_path: Path, anchor: Anchor) -> None:
    one, same, other = (toy_anchor(tmp_path / str(i), family, seed=seed) for i, seed in enumerate((0, 0, 1)))
    assert (one.family, one.layers, one.hidden_size) == (family, 2, 16)
    assert one.digest == same.digest != other.digest
    assert (one.digest == anchor.digest) == (family == "olmo2")
    assert one.tokenizer()("he said")["input_ids"][0] == 256


def test_an_anchor_does_not_disturb_the_callers_random_numbers(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    toy_anchor(tmp_path)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("kind", names("atoll.experts"))
def test_an_expert_does_not_depend_on_who_else_is_there(kind: str, anchor: Anchor) -> None:
    (alone,) = toy_experts(anchor, ["court"], kind)
    clinic, court = toy_experts(anchor, ["clinic", "court"], kind)
    (reseeded,) = toy_experts(anchor, ["court"], kind, seed=1)
    assert (court.card.kind, court.card.owner, court.card.anchor) == (kind, "court", anchor.digest)
    assert alone.weights.keys() == court.weights.keys()
    for name, value in alone.weights.items():
        assert torch.equal(value, court.weights[name])
        assert not torch.equal(value, clinic.weights[name])
        assert not torch.equal(value, reseeded.weights[name])
    assert torch.equal(alone.descriptor.mean, court.descriptor.mean)
    assert not torch.equal(alone.descriptor.mean, toy_frame(anchor, court.card.sites).mean)


def test_silos_are_separate_and_share_no_word(tmp_path: Path) -> None:
    configs = toy_silos(tmp_path, documents=4, words=30)
    words = {}
    for name, config in configs.items():
        assert config.paths == [str(tmp_path / name)]
        written = "".join(file.read_text() for file in (tmp_path / name).iterdir())
        assert len(written.splitlines()) == 4
        words[name] = set(re.findall(r"[a-z]+", written)) - {"text"}
    assert len(words) == 3
    assert all(len(found) > 8 for found in words.values())
    assert len(set().union(*words.values())) == sum(map(len, words.values()))


def test_the_checks_need_no_test_framework() -> None:
    told = "import sys, atoll.testing; print(sorted({'pytest', 'hypothesis'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_that_is_run_in_earnest_imports_the_toys() -> None:
    """Benchmarks may: what grows with a thousand experts is measured over tiny ones."""
    files = [file for root in SOURCES for file in (ROOT / root / "atoll").rglob("*.py")]
    product = [file for file in files if not {"testing", "benchmarks"} & set(file.relative_to(ROOT).parts[:3])]
    assert len(files) - len(product) >= 5
    importing = re.compile(r"^\s*(from|import) atoll\.testing\b|^\s*from atoll import .*\btesting\b", re.MULTILINE)
    assert [str(file.relative_to(ROOT)) for file in product if importing.search(file.read_text())] == []
