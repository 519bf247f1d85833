"""What must still work inside the default budget, and what each costs; docs/deployment.md prints these figures."""

import math
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.clients.conftest import documents, quiet, train_unit
from tests.clients.measuring.conftest import COORDINATOR, Silo
from torch import Tensor

from atoll.clients.gate.training_policy import TrainingPolicy
from atoll.clients.measuring.budget import MeasuringBudget, Spent
from atoll.clients.measuring.policy import MeasuringPolicy
from atoll.clients.measuring.rounding import deviation
from atoll.clients.spending import gaussian_epsilon
from atoll.clients.work import train_expert
from atoll.coordinator.server.measuring import ALL, flags, unit_of
from atoll.experts.signing import OwnerKey
from atoll.federation.measuring import Measurement
from atoll.federation.units import Choice, MemberRef
from atoll.ledger import ExpertFlagged

STAGES, OWNERS = 20, 8
UNIFORM = Choice(name="uniform")


def spent(silo: Silo) -> Spent:
    return MeasuringBudget(silo.folder).spent()


def _key(number: int) -> OwnerKey:
    """Fixed, because noise depends on who is in a candidate."""
    return OwnerKey(Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)))


def _honest(name: str, value: Tensor) -> Tensor:
    return value * 0.1


def _poison(name: str, value: Tensor) -> Tensor:
    return value * (-8.0 if "lora_B" in name else 1.0)


@pytest.fixture
def small(silo: Silo) -> Silo:
    """On as few documents as the default allows: so many models take a while."""
    silo.measuring["documents"] = 20
    return silo


def test_a_poisoned_newcomer_is_flagged_for_one_new_model(silo: Silo) -> None:
    """Owners arrive one by one; the fourth does the opposite of what the others learnt."""
    training = train_unit(silo.node, steps=20, learning_rate=0.05, evaluate_every=20, checkpoint_every=20)
    silo.base = train_expert(silo.node, training, quiet)[1]
    silo.write(documents("clinic", 300))
    del silo.measuring["noise"]  # the default policy, as it is
    members: list[MemberRef] = []
    costs = []
    for number in range(1, 5):
        members.append(silo.expert(f"o{number}", _poison if number == 4 else _honest, _key(number)))
        before = spent(silo)
        unit = unit_of(COORDINATOR, silo.node.anchor.digest, members, Choice(name="flexolmo"), UNIFORM)
        reply = silo.figures(unit)
        flagged = {fact.owner for fact in flags(unit, "clinic", reply, 0.05) if isinstance(fact, ExpertFlagged)}
        assert flagged == ({f"o{number}"} if number > 3 else set())
        assert all(map(math.isfinite, reply.loss.values()))
        after = spent(silo)
        costs.append((after.models - before.models, after.figures - before.figures))
    assert [models for models, _ in costs] == [1] * 4
    assert costs[0] == (1, 2), "the mixture and the anchor alone"
    assert max(figures for _, figures in costs) <= 5


def test_a_streams_matrix_of_twenty_stages(small: Silo) -> None:
    """R[i, j]: after each of 20 arrivals this silo measures the release, and once its own expert and the anchor."""
    members: list[MemberRef] = []
    for stage in range(1, STAGES + 1):
        members.append(small.noise(f"o{stage:02d}", stage, 0.01))
        one = small.candidate(*members)
        asked = [Measurement(name="release", candidate=one.digest)]
        asked += [Measurement(name="anchor")] if stage == 1 else []
        small.figures(small.unit(one, measurements=asked))
    assert spent(small) == Spent(models=STAGES, figures=STAGES + 1)
    assert spent(small).models <= MeasuringPolicy().models


def test_the_reports_leave_one_out_at_eight_owners(small: Silo) -> None:
    members = [small.noise(f"o{number}", number, 0.01) for number in range(OWNERS)]
    one = small.candidate(*members)
    owners = [member.owner for member in members]
    asked = [Measurement(name=ALL, candidate=one.digest, shares=True)]
    asked += [
        Measurement(name=owner, candidate=one.digest, entitlement=[each for each in owners if each != owner])
        for owner in owners
    ]
    asked += [Measurement(name="soup", candidate=one.digest, baseline="soup"), Measurement(name="anchor")]
    small.figures(small.unit(one, measurements=asked))
    losses, shares = OWNERS + 3, OWNERS + 1
    assert spent(small) == Spent(models=2, figures=losses + shares), "the baseline is a model of its own"


@pytest.mark.parametrize(("scores", "together"), [(0, (30, 86)), (4, (30, 242))], ids=["text", "classifier"])
def test_all_of_it_together_is_within_the_default_budget(scores: int, together: tuple[int, int]) -> None:
    """As docs/deployment.md adds it up: every measurement of a whole mixture has a loss and ``scores``."""
    policy, each = MeasuringPolicy(), 1 + scores
    newcomers = [(1, each + number) for number in range(1, OWNERS + 1)]
    stream = (STAGES, each * STAGES + 2)
    report = (2, each * (OWNERS + 3) + OWNERS + 1)
    models, figures = (sum(column) for column in zip(*newcomers, stream, report, strict=True))
    assert (models, figures) == together
    assert models <= policy.models
    assert figures <= policy.figures
    page = Path(__file__).parents[3] / "docs" / "deployment.md"
    assert f"{models} of {policy.models}" in page.read_text("utf-8")
    assert f"{figures} of {policy.figures}" in page.read_text("utf-8")


@pytest.mark.parametrize(("figures", "epsilon"), [(30, 8.4), (86, 11.2), (250, 14.0)])
def test_the_epsilon_of_so_many_losses_is_what_the_page_says(figures: int, epsilon: float) -> None:
    """docs/deployment.md prints these; the ceiling of the account must have room for them."""
    policy = MeasuringPolicy()
    signal = math.sqrt(sum((2 / deviation(rank, policy)) ** 2 for rank in range(1, figures + 1)))
    assert gaussian_epsilon(signal) == pytest.approx(epsilon, abs=0.05)
    assert epsilon < TrainingPolicy().total_epsilon / 2
