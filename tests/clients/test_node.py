"""A node refuses at once what it could not finish, and computes where it is told to."""

import logging
from typing import Any

import pytest
import torch

from atoll.clients.device import usable_device
from atoll.errors import ConfigError, FederationError

from .conftest import Silo


@pytest.mark.parametrize("owner", ["St Mary", "st_mary", "Clinic", "", "-clinic", "klinik-ü", "a" * 64, "../clinic"])
def test_an_owners_name_is_a_slug(silo: Silo, owner: str) -> None:
    with pytest.raises(ConfigError, match=r"node\.yaml.*lower-case letters, digits and hyphens"):
        silo(owner=owner)


def test_nobody_is_called_as_the_anchor_is(silo: Silo) -> None:
    with pytest.raises(ConfigError, match="not 'anchor'"):
        silo(owner="anchor")


@pytest.mark.parametrize("owner", ["a", "st-mary-2", "7", "a" * 63])
def test_slugs_are_owners(silo: Silo, owner: str) -> None:
    assert silo(owner=owner).config.owner == owner


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threads": 0}, "threads is 0"),
        ({"domain": "two\nlines"}, "domain"),
        ({"licence": ""}, "licence"),
        ({"consent": {"until": "next year"}}, r"consent\.until"),
    ],
)
def test_what_the_card_would_refuse_after_training_is_refused_before(
    silo: Silo, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        silo(**change)


@pytest.mark.parametrize("device", ["meta", "gpu", "cuda:99", ""])
def test_a_device_that_is_not_there_is_one_clear_error(silo: Silo, device: str) -> None:
    with pytest.raises(ConfigError, match=r"node\.yaml: device is .*device: auto"):
        silo(device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_cuda_is_refused_and_auto_is_the_cpu(silo: Silo) -> None:
    with pytest.raises(ConfigError, match="device is 'cuda', which cannot be used here"):
        silo(device="cuda")
    assert silo(device="auto").device == torch.device("cpu")


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert usable_device("auto") == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert usable_device("auto") == torch.device("cpu")


def test_every_model_is_fresh(silo: Silo) -> None:
    node = silo()
    first = node.model()
    with torch.no_grad():
        next(first.parameters()).zero_()
    assert bool(next(node.model().parameters()).any())
    assert not any(parameter.requires_grad for parameter in node.model().parameters())


def test_the_key_is_made_once_and_only_its_owner_reads_it(silo: Silo) -> None:
    node = silo()
    made = node.key.public.hex
    assert silo().key.public.hex == made
    assert (node.folder / "owner.key").stat().st_mode & 0o077 == 0


def test_another_anchor_is_refused(silo: Silo) -> None:
    with pytest.raises(FederationError, match=r"set `anchor` in node.yaml"):
        silo().expect_anchor("sha256:" + "00" * 32)


def test_what_was_read_is_in_the_owners_log(silo: Silo, caplog: pytest.LogCaptureFixture) -> None:
    node = silo()
    with caplog.at_level(logging.INFO, "atoll.clients.node"):
        announced = node.announcement()
    report = node.workload.reading
    assert [record.getMessage() for record in caplog.records] == [
        f"data of '{node.config.owner}': {line}" for line in report.lines()
    ]
    assert report.records == sum(announced.documents.values())
