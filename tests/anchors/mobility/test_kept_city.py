"""What is kept of a city is what would be computed, whatever happens to the model."""

import copy

import torch
from torch import nn

from atoll.anchors.mobility.kept_city import KeptCity


def test_a_frozen_module_is_asked_once_a_city() -> None:
    module, kept, calls = nn.Linear(3, 2).requires_grad_(False), KeptCity(), []

    def compute(table: torch.Tensor) -> torch.Tensor:
        calls.append(len(table))
        found: torch.Tensor = module(table)
        return found

    one, other = torch.randn(4, 3), torch.randn(5, 3)
    for table in (one, other, one, other):
        assert torch.equal(kept.of(module, table, compute), module(table))
    assert calls == [4, 5]


def test_a_module_in_training_is_asked_every_time() -> None:
    module, kept, table = nn.Linear(3, 2), KeptCity(), torch.randn(4, 3)
    assert kept.of(module, table, module).requires_grad
    with torch.no_grad():
        module.weight.zero_()
    assert torch.equal(kept.of(module, table, module), module(table))


def test_weights_that_changed_are_noticed() -> None:
    module, kept, table = nn.Linear(3, 2).requires_grad_(False), KeptCity(), torch.randn(4, 3)
    kept.of(module, table, module)
    optimizer = torch.optim.SGD(module.requires_grad_(True).parameters(), lr=1.0)
    module(table).sum().backward()
    optimizer.step()
    module.requires_grad_(False)
    assert torch.equal(kept.of(module, table, module), module(table))


def test_a_copy_begins_anew() -> None:
    module, kept, table = nn.Linear(3, 2).requires_grad_(False), KeptCity(), torch.randn(4, 3)
    kept.of(module, table, module)
    twin, fresh = copy.deepcopy(module), copy.deepcopy(kept)
    with torch.no_grad():
        twin.weight.zero_()
    assert torch.equal(fresh.of(twin, table, twin), twin(table))


def test_a_table_that_was_written_into_is_noticed() -> None:
    module, kept, table = nn.Linear(3, 2).requires_grad_(False), KeptCity(), torch.randn(4, 3)
    kept.of(module, table, module)
    table.zero_()
    assert torch.equal(kept.of(module, table, module), module(table))
