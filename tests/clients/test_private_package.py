"""What a private card says of ε holds for all of the package: without the noise nothing of the data is left in it."""

from typing import Any

import numpy as np
import pytest
import torch

from atoll.clients.node import Node
from atoll.clients.training import private
from atoll.clients.work import train_expert
from atoll.experts.package import ExpertPackage, read_package
from atoll.experts.privacy_config import PrivacyConfig
from atoll.federation.units import Choice

from .conftest import Silo, documents, quiet, train_unit

PROMISE = PrivacyConfig(epsilon=8.0)


@pytest.fixture(autouse=True)
def opacus() -> None:
    pytest.importorskip("opacus.accountants", reason="private training needs Opacus")


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The noisy steps see nothing of the data, and have the same noise: all that still differs has no noise."""

    def nothing(trainable: Any, data: Any, drawn: Any, plan: Any, **_: Any) -> tuple[dict[str, torch.Tensor], None]:
        return {name: torch.zeros_like(value) for name, value in trainable.parameters.items()}, None

    monkeypatch.setattr(private, "clipped_gradients", nothing)
    monkeypatch.setattr(
        "atoll.clients.training.private_loop.step_generator", lambda secret, number: np.random.default_rng(number)
    )


def package(node: Node, **changes: Any) -> ExpertPackage:
    unit = train_unit(node, "ffn", last_layers=1, privacy=PROMISE, descriptor_directions=2, **changes)
    _, file = train_expert(node, unit, quiet)
    return read_package(file, trusted=node.key.public)


def neighbours(silo: Silo) -> list[Node]:
    """Two silos of as many documents, one of which is another; in the training split of both."""
    texts = documents("clinic", 80)
    other = [*texts[:10], "qqqq zzzz xxxx jjjj vvvv " * 3, *texts[11:]]
    found = [silo("one", texts=texts), silo("other", texts=other)]
    assert found[0].workload.key != found[1].workload.key
    return found


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize("coordinated", [True, False])
def test_neighbouring_data_under_one_noise_give_one_package(silo: Silo, coordinated: bool) -> None:
    """Rows of the router differed by 4.4e-3: they began at the descriptor, which has no noise."""
    one, other = (package(node, coordinated=coordinated) for node in neighbours(silo))
    assert set(one.weights) == set(other.weights)
    for name, value in one.weights.items():
        torch.testing.assert_close(value, other.weights[name], rtol=0, atol=0, msg=name)
    assert one.descriptor.to_bytes() == other.descriptor.to_bytes()
    assert one.context == other.context
    assert one.card.metrics == other.card.metrics == {}
    assert one.card.tokens == other.card.tokens
    assert one.card.documents["test"] == other.card.documents["validation"] == 0


def test_the_descriptor_of_a_private_expert_is_the_anchors_own(silo: Silo) -> None:
    node = silo()
    made = package(node)
    frame = node.frame(node.model(), made.card.sites)
    assert made.descriptor.to_bytes() == frame.to_bytes()


def test_beside_a_private_expert_no_exact_count_is_told(silo: Silo) -> None:
    node = silo(replay={"tell": "counts"})
    made = package(node, replay=Choice(name="autoregressive"))
    assert made.prior is not None
    assert not made.prior.tensors
    plain = read_package(
        train_expert(node, train_unit(node, replay=Choice(name="autoregressive")), quiet)[1], trusted=node.key.public
    )
    assert plain.prior is not None
    assert plain.prior.tensors


def test_a_training_begun_anew_by_another_version_has_noise_of_its_own(
    silo: Silo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One secret under two versions of a step would show what differs between them."""
    from .test_private_expert import begin_anew

    node = silo()
    first = package(node)
    (work,) = (node.folder / "work").iterdir()
    begin_anew(work)
    monkeypatch.setattr("atoll.clients.training.private_loop.version", lambda name: "another")
    assert package(node).digest != first.digest
