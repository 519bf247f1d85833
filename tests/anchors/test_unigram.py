import pytest
import torch

from atoll.anchors.states import describe_unigram
from atoll.errors import PackageError
from atoll.mixture import Descriptor


def batch(*documents: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, documents))
    ids = torch.tensor([document + [0] * (width - len(document)) for document in documents])
    mask = torch.tensor([[place < len(document) for place in range(width)] for document in documents])
    return ids, mask


def test_shares_are_of_all_tokens_and_padding_is_none() -> None:
    found = describe_unigram([batch([1, 1, 2], [1]), batch([2, 3])], 5, fewest=1)
    assert found.tolist() == pytest.approx([0, 3 / 6, 2 / 6, 1 / 6, 0])


def test_a_token_of_few_documents_is_not_revealed_however_often_it_stands_there() -> None:
    found = describe_unigram([batch([4, 4, 4, 4, 1], [1, 2], [1, 2])], 5, fewest=2)
    assert found.tolist() == pytest.approx([0, 3 / 9, 2 / 9, 0, 0])


def descriptor(unigram: torch.Tensor | None) -> Descriptor:
    ones = torch.ones(1, 3)
    return Descriptor(
        embedder="anchor-states", samples=2, tokens=9, sites=("a",), mean=ones, variance=ones, unigram=unigram
    )


@pytest.mark.parametrize("unigram", [None, torch.tensor([0.25, 0.5, 0.0])])
def test_a_descriptor_reads_as_it_was_written(unigram: torch.Tensor | None) -> None:
    data = descriptor(unigram).to_bytes()
    again = Descriptor.from_bytes(data)
    assert again.to_bytes() == data
    assert (again.unigram is None) == (unigram is None)
    if unigram is not None and again.unigram is not None:
        assert torch.equal(again.unigram, unigram)


@pytest.mark.parametrize(
    "unigram",
    [
        torch.tensor([-0.1, 0.2]),
        torch.tensor([0.9, 0.9]),
        torch.tensor([float("nan")]),
        torch.ones(2, 2) / 4,
        torch.zeros(0),
        torch.tensor([0.5], dtype=torch.float64),
    ],
)
def test_shares_that_cannot_be_are_refused(unigram: torch.Tensor) -> None:
    with pytest.raises(PackageError, match="unigram"):
        descriptor(unigram)
