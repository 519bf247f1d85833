"""What passed at da9bb40: a package whose descriptor makes a router compute NaN, and figures that are no numbers."""

import pytest
import torch

from atoll.coordinator.server.measuring import flags
from atoll.errors import FederationError, PackageError
from atoll.federation.measuring import Candidate, MeasureUnit
from atoll.federation.units import WORST_LOSS, Choice, EvaluateReply, MemberRef
from atoll.ledger import ExpertFlagged
from atoll.mixture import Descriptor

MEMBERS = [MemberRef(owner=owner, digest=f"sha256:{owner}", blob="", public_key="") for owner in ("clinic", "court")]
CANDIDATE = Candidate(public_key="", anchor="a", members=MEMBERS, integrator=Choice(name="x"), router=Choice(name="x"))
UNIT = MeasureUnit(anchor="a", candidates=[CANDIDATE], measurements=[])


def described(mean: float, variance: float = 1.0) -> Descriptor:
    return Descriptor(
        embedder="anchor-states",
        samples=10,
        tokens=100,
        sites=("a",),
        mean=torch.full((1, 4), mean),
        variance=torch.full((1, 4), variance),
    )


@pytest.mark.parametrize(("mean", "variance"), [(3e38, 1.0), (-3e38, 1.0), (0.0, 3e38)])
def test_a_descriptor_that_no_router_can_square_is_refused(mean: float, variance: float) -> None:
    described(1e4, 1e8)
    with pytest.raises(PackageError, match="entries above"):
        described(mean, variance)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_mixture_without_a_loss_is_harm(loss: float) -> None:
    measured = EvaluateReply(loss={"all": loss, "without clinic": 2.0, "without court": loss})
    # Whatever the silo's own code makes of it, and whatever reaches the coordinator.
    for reply in (measured, EvaluateReply.from_json(measured.finite.to_json())):
        (flag,) = flags(UNIT, "court", reply, 0.05)
        assert isinstance(flag, ExpertFlagged)
        assert flag.owner == "clinic"
        assert 900 < flag.added <= WORST_LOSS
    for text in ('{"loss":{"all":NaN}}', '{"loss":{"all":Infinity}}', '{"loss":{"all":1e999}}'):
        with pytest.raises(FederationError):
            EvaluateReply.from_json(text)


def test_scores_and_shares_that_are_no_numbers_stay_away() -> None:
    nan = float("nan")
    found = EvaluateReply(scores={"all": {"auc": nan, "top": 0.5}}, shares={"all": {"anchor": nan}}).finite
    assert found.scores == {"all": {"top": 0.5}}
    assert found.shares == {"all": {}}
