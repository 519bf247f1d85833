"""What a node lets others measure: entitlements within signed candidates, on documents of its own choice."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.clients.conftest import documents, quiet
from tests.clients.measuring.conftest import COORDINATOR, Silo, random_weights, sent

from atoll.clients.gate.training_policy import TrainingPolicy
from atoll.clients.measuring.records import MeasureOrder, MeasureRecords, Row
from atoll.clients.measuring.worker import measure_records
from atoll.clients.spending import gaussian_epsilon
from atoll.experts.signing import OwnerKey
from atoll.federation.measuring import Measurement, MeasureUnit
from atoll.federation.units import Choice


def test_entitlements_within_one_candidate_are_measured_and_what_leaves_is_in_the_outbox(silo: Silo) -> None:
    silo.measuring["step_documents"] = 1
    one = silo.candidate(silo.noise("court", 1), silo.noise("yard", 2))
    asked = [
        Measurement(name="all", candidate=one.digest, shares=True),
        Measurement(name="without court", candidate=one.digest, entitlement=["yard"]),
        Measurement(name="nobody", candidate=one.digest, entitlement=[]),
        Measurement(name="anchor"),
        Measurement(name="own", candidate=one.digest, alone=True),
    ]
    reply = silo.figures(silo.unit(one, measurements=asked))
    assert set(reply.loss) == {"all", "without court", "nobody", "anchor"}, "the clinic is no member"
    assert reply.loss["nobody"] == reply.loss["anchor"] != reply.loss["all"]
    assert set(reply.shares) == {"all"}
    assert set(reply.shares["all"]) == {"anchor", "court", "yard"}
    assert reply.documents >= silo.policy().min_documents
    assert reply.step == pytest.approx(max(0.01, 1 / reply.documents))
    texts = [json.loads(entry["text"])["body"] for entry in sent(silo)]
    told = [json.loads(json.loads(body)["result"]) for body in texts if body and json.loads(body)["result"]]
    assert [each["loss"] for each in told] == [reply.loss]


def test_what_was_told_without_noise_is_in_the_account_once(silo: Silo) -> None:
    unit = silo.unit(silo.candidate(silo.noise("court", 1)))
    for call in ("one", "another"):
        silo.figures(unit, call=call)
    standing = silo.gate.works.account.standing()
    assert {each.mechanism for each in standing.spends} == {"no promise"}
    assert len({each.what for each in standing.spends}) == len(standing.spends)
    assert standing.total.epsilon == 0


def test_what_was_told_with_noise_is_in_the_account_as_what_its_noise_promises(silo: Silo) -> None:
    silo.measuring["noise"] = 4.0
    one = silo.candidate(silo.noise("court", 1))
    asked = [Measurement(name="anchor"), Measurement(name="all", candidate=one.digest, shares=True)]
    unit = silo.unit(one, measurements=asked)
    for call in ("one", "another"):
        silo.figures(unit, call=call)
    standing = silo.gate.works.account.standing()
    told = {each.what: each for each in standing.spends}
    assert told["measured: loss of the anchor, number of documents"].mechanism == "no promise"
    loss, shares = told["measured: loss"], told["measured: routing shares"]
    assert len(standing.spends) == 3
    # Four figures were charged together, so each has the noise of the fourth; a loss moves by twice its clip.
    deviation = 4.0 * (1 + 4 / 8) ** 0.5
    assert loss.noise == pytest.approx(deviation / 2)
    assert shares.noise == pytest.approx(deviation)
    assert (loss.steps, shares.steps) == (1, 2)
    signal = (4 / deviation**2 + 2 / deviation**2) ** 0.5
    assert standing.total.epsilon == pytest.approx(gaussian_epsilon(signal))


def test_figures_beyond_the_ceiling_stay_in(silo: Silo) -> None:
    silo.measuring["noise"] = 4.0
    silo.rules["training"] = TrainingPolicy(total_epsilon=1.0)
    assert "total_epsilon" in silo.refused(silo.unit(silo.candidate(silo.noise("court", 1))))
    assert not [entry for entry in sent(silo) if '"loss"' in entry["text"]]


@pytest.mark.parametrize("split", ["train", "validation", "everything"])
def test_only_the_test_split_is_measured_for_others(silo: Silo, split: str) -> None:
    assert "measuring.splits" in silo.refused(silo.unit(silo.candidate(silo.noise("court", 1)), split=split))


def test_validation_is_measured_where_the_owner_lets_it_be(silo: Silo) -> None:
    silo.measuring["splits"] = ["test", "validation"]
    silo.write(documents("clinic", 200))
    unit = silo.unit(silo.candidate(silo.noise("court", 1)), split="validation")
    assert silo.figures(unit).documents >= 20
    assert "measuring.splits" in silo.refused(replace(unit, split="train"))


def test_candidates_are_signed_by_a_coordinator_that_the_policy_names(silo: Silo) -> None:
    member = silo.noise("court", 1)
    stranger = silo.candidate(member, key=OwnerKey.generate())
    assert "not among the policy's coordinators" in silo.refused(silo.unit(stranger))
    genuine = silo.candidate(member)
    for forged in (
        replace(genuine, router=Choice(name="uniform", options={"sharp": 2})),
        replace(genuine, members=[replace(member, owner="yard")]),
        replace(genuine, signature=""),
        replace(genuine, public_key=OwnerKey.generate().public.hex),
    ):
        unit = silo.unit(forged)
        reply = silo.ask(unit)
        assert reply.state in ("failed", "refused")
        assert "signature" in reply.note
        assert not silo.orders


def test_what_is_refused_is_not_waited_for(silo: Silo) -> None:
    """No blob is taken for a unit that will be refused anyhow."""
    absent = silo.expert("court", random_weights(1, 1.0), hold=False)
    unit = silo.unit(silo.candidate(absent, key=OwnerKey.generate()))
    assert silo.ask(unit).state == "refused"
    assert not silo.gate.works.expects(absent.blob)
    assert silo.ask(silo.unit(silo.candidate(absent))).missing == [absent.blob]


def test_what_is_measured_is_what_was_signed(silo: Silo) -> None:
    """A blob with another expert than the candidate names is another model than was charged."""
    one, other = silo.noise("court", 1), silo.noise("court", 2)
    swapped = silo.candidate(replace(one, blob=other.blob, public_key=other.public_key))
    reply = silo.ask(silo.unit(swapped))
    assert reply.state == "refused"
    assert "not the expert" in reply.note
    assert not silo.orders
    assert silo.gate.works._measuring.budget.spent().figures == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"candidate": "sha256:" + "0" * 64}, "does not have"),
        ({"entitlement": ["yard"]}, "no member"),
        ({"candidate": "", "baseline": "soup"}, "names no candidate"),
        ({"candidate": "", "entitlement": ["court"]}, "names no candidate"),
        ({"alone": True, "entitlement": ["court"]}, "alone"),
        ({"baseline": "flexolmo"}, "measuring.baselines"),
        ({"baseline": "no-such"}, "measuring.baselines"),
    ],
)
def test_nothing_but_entitlements_and_listed_baselines_is_measured(
    silo: Silo, change: dict[str, Any], why: str
) -> None:
    one = silo.candidate(silo.noise("court", 1))
    asked = replace(Measurement(name="x", candidate=one.digest), **change)
    reply = silo.ask(silo.unit(one, measurements=[asked]))
    assert reply.state in ("failed", "refused")
    assert why in reply.note
    assert not silo.orders


def test_names_and_owners_are_told_apart(silo: Silo) -> None:
    member = silo.noise("court", 1)
    one = silo.candidate(member)
    twice = [Measurement(name="x", candidate=one.digest), Measurement(name="x")]
    for unit in (silo.unit(one, measurements=twice), silo.unit(silo.candidate(member, member))):
        assert silo.ask(unit).state in ("failed", "refused")
    assert not silo.orders


def test_a_listed_baseline_takes_the_place_of_the_candidates_integrator(silo: Silo) -> None:
    silo.measuring["step_documents"] = 1
    one = silo.candidate(silo.noise("court", 1), silo.noise("yard", 2))
    soup = silo.candidate(*one.members, integrator=Choice(name="soup"))
    asked = [
        Measurement(name="baseline", candidate=one.digest, baseline="soup"),
        Measurement(name="candidate", candidate=soup.digest),
        Measurement(name="mixture", candidate=one.digest),
    ]
    loss = silo.figures(silo.unit(one, soup, measurements=asked)).loss
    assert loss["baseline"] == loss["candidate"] != loss["mixture"]


def test_all_figures_rest_on_the_documents_that_the_node_chose(silo: Silo) -> None:
    first = silo.candidate(silo.noise("court", 1), silo.noise("yard", 2))
    silo.figures(silo.unit(first))
    silo.figures(silo.unit(first, measurements=[Measurement(name="x", candidate=first.digest, entitlement=["yard"])]))
    silo.restart()
    silo.figures(silo.unit(silo.candidate(silo.noise("port", 3)), measurements=()))
    chosen = [tuple(MeasureOrder.from_json(order).documents) for order in silo.orders]
    assert len(chosen) == 3
    assert len(set(chosen)) == 1
    assert len(set(chosen[0])) >= silo.policy().min_documents


def test_a_policy_bounds_the_documents_and_so_the_work(silo: Silo) -> None:
    silo.measuring["documents"] = 24
    reply = silo.figures(silo.unit(silo.candidate(silo.noise("court", 1))))
    assert reply.documents == 24
    assert reply.step == pytest.approx(2 / 24)


def test_too_few_documents_are_not_measured_however_often_they_are_repeated(silo: Silo) -> None:
    silo.write([f"{text} ({copy})" for text in documents("clinic", 12) for copy in range(3)])
    unit = silo.unit(silo.candidate(silo.noise("court", 1)))
    assert "min_documents" in silo.refused(unit)
    silo.write(documents("clinic", 30) * 20)
    assert "min_documents" in silo.refused(replace(unit, measurements=[Measurement(name="anchor")]))


def test_a_unit_of_the_free_form_is_refused_by_name(silo: Silo) -> None:
    from atoll.federation.units import EvaluateUnit, Variant

    member = silo.noise("court", 1)
    model = Variant(name="x", members=["court"], integrator=Choice(name="soup"), router=Choice(name="top-k"))
    unit = EvaluateUnit(anchor=silo.node.anchor.digest, members=[member], variants=[model])
    assert "signed candidates" in silo.refused(unit)


def test_a_members_order_and_who_signed_make_no_other_candidate(silo: Silo) -> None:
    other = OwnerKey.generate()
    members = [silo.noise("court", 1), silo.noise("yard", 2)]
    digests = {silo.candidate(*members).digest, silo.candidate(*reversed(members), key=other).digest}
    assert len(digests) == 1
    assert silo.candidate(*members, router=Choice(name="top-k")).digest not in digests
    assert silo.candidate(*members, shared="sha256:" + "0" * 64).digest not in digests
    assert silo.candidate(*members).public_key == COORDINATOR.public.hex


def test_what_a_coordinator_sends_is_read_strictly(silo: Silo) -> None:
    unit = silo.unit(silo.candidate(silo.noise("court", 1)))
    fields = json.loads(unit.to_json())
    for change in ({"windows": 1}, {"documents": ["a"]}, {"batch": 1}):
        with pytest.raises(Exception, match="unknown field"):
            MeasureUnit.from_json(json.dumps({**fields, **change}))


def test_a_crafted_model_cannot_amplify_what_it_looks_for(silo: Silo) -> None:
    """However wild a model is, no document's loss lies further from the anchor's than the clip."""
    silo.measuring |= {"clip": 0.02, "step": 0.001, "step_documents": 1}
    wild = silo.candidate(silo.expert("court", random_weights(3, 2000.0)), integrator=Choice(name="soup"))
    asked = [Measurement(name="wild", candidate=wild.digest), Measurement(name="anchor")]
    reply = silo.figures(silo.unit(wild, measurements=asked))
    order = MeasureOrder.from_json(silo.orders[-1])
    exact = measure_records(silo.node, order, quiet)
    moved = [row.loss / row.count - base.loss / base.count for row, base in zip(*_rows(exact), strict=True)]
    assert max(map(abs, moved)) > 10 * 0.02, "the model is wild enough to show it"
    assert abs(reply.loss["wild"] - reply.loss["anchor"]) <= 0.02 + reply.step


def _rows(found: MeasureRecords) -> tuple[list[Row], list[Row]]:
    """The model's that is not the anchor, and the anchor's."""
    other = next(rows for rows in found.rows.values() if rows != found.anchor)
    return other, found.anchor
