import math
from dataclasses import replace

import pytest

from atoll.coordinator.report.terminal import conclusions
from atoll.coordinator.results import RunResults


def with_losses(results: RunResults, silo: str, **losses: float) -> RunResults:
    changed = {name: dict(found) for name, found in results.losses.items()}
    changed[silo] |= {name.replace("_", " "): loss for name, loss in losses.items()}
    return replace(results, losses=changed)


def verdicts(results: RunResults) -> list[str]:
    said = conclusions(results)
    assert all(sentence.startswith(("yes: ", "no: ")) and sentence.endswith(".") for sentence in said)
    return [sentence.partition(":")[0] for sentence in said]


def test_all_promises_kept(results: RunResults) -> None:
    said = conclusions(results)
    assert verdicts(results) == ["yes"] * 5
    assert "every silo" in said[0]
    assert "1.130 nats a token (software-house)" in said[0]
    assert "‘soup’, 2.290 against 3.067" in said[1]
    assert "‘ensemble’, 2.290 against 2.840" in said[2]
    assert "96.8 %" in said[3]
    assert "library" in said[3]
    assert "a difference of 0;" in said[4]
    assert "at most 0.010" in said[4]


def test_losses_are_given_per_what_the_silos_hold(results: RunResults) -> None:
    said = conclusions(replace(results, unit="picture"))
    assert any("nats a picture" in sentence for sentence in said)
    assert not any("a token" in sentence for sentence in said)


@pytest.mark.parametrize("mixture", [3.63, 3.62, math.nan, math.inf])
def test_not_better_than_the_anchor_somewhere(results: RunResults, mixture: float) -> None:
    worse = with_losses(results, "law-firm", mixture=mixture)
    first = conclusions(worse)[0]
    assert first.startswith("no: ")
    assert f"law-firm: {mixture:.3f} against 3.620" in first
    assert "1 of 4 silos" in first
    assert verdicts(worse)[3] == "no"


def test_worse_than_a_baseline_on_average(results: RunResults) -> None:
    # Better on two silos, but by less.
    worse = with_losses(with_losses(results, "hospital", soup=0.5), "library", soup=0.9)
    assert verdicts(worse) == ["yes", "no", "yes", "yes", "yes"]
    assert "‘soup’, 2.290 against 1.740" in conclusions(worse)[1]


def test_each_baseline_is_asked_after(results: RunResults) -> None:
    more = results
    for silo in results.losses:
        more = with_losses(more, silo, **{"ensemble,_posterior": 1.0})
    said = [sentence for sentence in conclusions(more) if "‘ensemble, posterior’" in sentence]
    assert [sentence[:4] for sentence in said] == ["no: "]


def test_a_baseline_that_is_not_known_everywhere_is_no_yes(results: RunResults) -> None:
    partly = {silo: dict(found) for silo, found in results.losses.items()}
    del partly["library"]["soup"]
    said = conclusions(replace(results, losses=partly))
    assert said[1].startswith("no: ‘soup’ was not measured on every silo")
    del partly["library"]["mixture"]
    said = conclusions(replace(results, losses=partly))
    assert [sentence[:3] for sentence in said[:3]] == ["no:"] * 3
    assert "library" in said[0]
    assert "‘mixture’ was not measured" in said[2]


@pytest.mark.parametrize(("kept", "verdict"), [(0.951, "yes"), (0.949, "no"), (-0.2, "no")])
def test_share_of_the_gain(results: RunResults, kept: float, verdict: str) -> None:
    changed = with_losses(results, "hospital", anchor=4.0, own_expert=2.0, mixture=4.0 - 2.0 * kept)
    sentence = conclusions(changed)[3]
    assert sentence.startswith(f"{verdict}: ")
    assert f"{100 * kept:.1f} % of the gain" in sentence
    assert "(hospital;" in sentence


def test_silos_without_a_gain_are_named(results: RunResults) -> None:
    changed = with_losses(results, "hospital", own_expert=5.0)
    sentence = conclusions(changed)[3]
    assert sentence.startswith("yes: ")
    assert "no gain is known on hospital" in sentence
    for silo in results.losses:
        changed = with_losses(changed, silo, own_expert=5.0)
    assert conclusions(changed)[3].startswith("no: no silo's own expert")


@pytest.mark.parametrize(("never_had", "verdict"), [(3.9301, "yes"), (3.94, "no"), (3.92, "no"), (math.nan, "no")])
def test_withdrawal_against_never_having_had_it(results: RunResults, never_had: float, verdict: str) -> None:
    found = results.withdrawal
    assert found is not None
    sentence = conclusions(replace(results, withdrawal=replace(found, loss_never_had=never_had)))[-1]
    assert sentence.startswith(f"{verdict}: without library")
    assert f"{abs(never_had - 3.93):.2g}" in sentence


def test_without_a_withdrawal_nothing_is_said_of_it(results: RunResults) -> None:
    said = conclusions(replace(results, withdrawal=None))
    assert len(said) == 4
    assert not [sentence for sentence in said if "never had" in sentence]


def test_a_failed_silo_is_not_counted_as_measured(results: RunResults) -> None:
    losses = {silo: found for silo, found in results.losses.items() if silo != "library"}
    silos = [replace(silo, status="failed", failure="?") if silo.name == "library" else silo for silo in results.silos]
    first = conclusions(replace(results, losses=losses, silos=silos))[0]
    assert first.startswith("yes: ")
    assert "every silo" not in first
    assert "the 3 silos that were measured, out of 4" in first


def test_nothing_measured_is_a_no(results: RunResults) -> None:
    assert verdicts(replace(results, losses={}, withdrawal=None)) == ["no"]
