"""What replay may keep of an owner's data is the owner's to say, and the noise on it is the owner's own."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from atoll.clients.node import Node
from atoll.clients.prior import make_prior, owners_seed
from atoll.clients.work import train_expert
from atoll.errors import ConfigError, DataError
from atoll.experts.package import read_package
from atoll.experts.signing import OwnerKey
from atoll.federation.units import Choice
from atoll.replay import Prior

from .conftest import Silo, documents, quiet, train_unit

CHOICE = Choice(name="autoregressive")


def prior(node: Node, choice: Choice = CHOICE) -> Prior:
    made = make_prior(node, choice)
    assert made is not None
    return made


def terms(**values: Any) -> dict[str, Any]:
    return {"replay": values}


def test_noised_counts_keep_to_the_owners_epsilon(silo: Silo) -> None:
    made = prior(silo(**terms(epsilon=8.0, smallest=2, samples=70)))
    assert made.epsilon == pytest.approx(8.0)
    assert made.most == 70
    assert {declared.smallest for declared in made.declared.values()} == {2}
    assert any("at most 70 samples" in line for line in made.lines())


def test_counts_as_they_are_leave_small_ones_out(silo: Silo) -> None:
    made = prior(silo(texts=[f"a {n}" * 4 for n in range(57)] + ["b", "c", "c"], **terms(tell="counts", smallest=3)))
    assert made.epsilon is None
    assert int((made.tensors["first_token"] > 0).sum()) == 1
    assert make_prior(silo("again", **terms(tell="counts")), CHOICE)


def test_nothing_is_nothing_but_the_cap(silo: Silo) -> None:
    made = prior(silo(**terms(tell="nothing", samples=9)))
    assert (dict(made.tensors), made.most, made.epsilon) == ({}, 9, 0)
    assert Prior.from_bytes(made.to_bytes()).digest == made.digest
    assert make_prior(silo("uncapped", **terms(tell="nothing", samples=0)), CHOICE) is None


def test_where_nothing_is_left_nothing_is_told(silo: Silo) -> None:
    made = prior(silo(**terms(tell="counts", smallest=1e6)))
    assert not made.tensors
    assert made.most == 5000


def test_the_noise_is_the_owners_and_does_not_change(silo: Silo) -> None:
    node = silo(**terms(epsilon=1.0, smallest=0))
    first = prior(node)
    assert prior(Node(node.folder)).digest == first.digest
    assert prior(node, Choice(name="autoregressive", options={"sampling": {"temperature": 0.5}})).digest == first.digest
    other = silo("other", **terms(epsilon=1.0, smallest=0))
    # Of the lengths there are two buckets, and after noise often one is left: the same for both.
    assert prior(other).digest != first.digest


@pytest.mark.parametrize("change", ["epsilon", "data", "steps"])
def test_no_two_tables_share_their_noise(silo: Silo, change: str) -> None:
    """One noise under two tables would show their difference, of which the second here would be a multiple."""
    node = silo(**terms(epsilon=1.0, smallest=0))
    assert node.key.public
    seeds = []
    for changed in (False, True):
        options = {"length_step": 8} if changed and change == "steps" else {}
        texts = documents("clinic", 61 if changed and change == "data" else 60)
        epsilon = 2.0 if changed and change == "epsilon" else 1.0
        other = silo("one", texts=texts, **terms(epsilon=epsilon, smallest=0))
        (other.folder / "owner.key").unlink(missing_ok=True)
        shutil.copyfile(node.folder / "owner.key", other.folder / "owner.key")
        seeds.append(prior(other, Choice(name="autoregressive", options=options)).tensors["first_token"])
    assert seeds[0].shape == seeds[1].shape
    assert not torch.allclose(seeds[0], seeds[1], atol=1e-3)


def test_the_package_carries_and_the_card_declares_it(silo: Silo) -> None:
    node = silo(**terms(samples=40))
    unit = replace(train_unit(node), replay=CHOICE)
    reply, file = train_expert(node, unit, quiet)
    package = read_package(file, trusted=node.key.public)
    assert package.prior is not None
    assert package.prior.digest == prior(node).digest
    assert package.card.replay == package.prior.lines()
    file.unlink()
    assert train_expert(node, unit, quiet)[0].digest == reply.digest


def test_without_a_generator_there_is_no_prior(silo: Silo) -> None:
    node = silo()
    package = read_package(train_expert(node, train_unit(node), quiet)[1], trusted=node.key.public)
    assert package.prior is None
    assert package.card.replay == ()


def test_a_generator_of_other_data_is_refused(silo: Silo) -> None:
    with pytest.raises(ConfigError, match="draws mobility"):
        make_prior(silo(), Choice(name="movegcl"))


@pytest.mark.parametrize("values", [{"tell": "all"}, {"epsilon": 0}, {"smallest": -1}, {"samples": -1}])
def test_impossible_terms_are_refused_when_they_are_read(silo: Silo, values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"replay.{next(iter(values))}"):
        silo(**terms(**values))


def test_seeds_are_told_apart_by_every_word(tmp_path: Path) -> None:
    key, other = OwnerKey.generate(), OwnerKey.generate()
    found = [
        owners_seed(key, "a", "b"),
        owners_seed(key, "ab"),
        owners_seed(key, "a", "c"),
        owners_seed(other, "a", "b"),
    ]
    assert len(set(found)) == 4
    assert owners_seed(key, "a", "b") == found[0]


def test_data_that_is_not_there_is_no_silent_nothing(silo: Silo, monkeypatch: pytest.MonkeyPatch) -> None:
    node = silo()
    monkeypatch.setattr(type(node.workload), "replay_private", lambda self: [])
    with pytest.raises(DataError, match="no document"):
        make_prior(node, CHOICE)
